import { defineConfig, presetWind3 } from 'unocss';

// Colours are CSS variables (src/theme.css holds both themes), so no class needs a dark: twin.
const token = (name: string) => `var(--${name})`;

export default defineConfig({
  presets: [presetWind3({ preflight: true })],
  content: { pipeline: { include: [/\.svelte($|\?)/, /src\/lib\/text\/status\.ts/] } },
  theme: {
    colors: {
      page: token('page'),
      panel: token('panel'),
      sunken: token('sunken'),
      line: token('line'),
      strong: token('line-strong'),
      ink: token('ink'),
      soft: token('ink-soft'),
      accent: token('accent'),
      onaccent: token('on-accent'),
      running: token('running'),
      completed: token('completed'),
      failed: token('failed'),
      cancelled: token('cancelled'),
    },
    fontFamily: {
      sans: 'ui-sans-serif, system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif',
      mono: 'ui-monospace, "SF Mono", "Cascadia Mono", Menlo, Consolas, "DejaVu Sans Mono", monospace',
    },
  },
  shortcuts: {
    panel: 'bg-panel border border-line rounded-md',
    'panel-title': 'text-13px font-600 text-ink m-0',
    field: 'h-8 px-2 rounded border border-strong bg-panel text-ink text-13px w-full min-w-0 box-border',
    label: 'block text-12px text-soft mb-1',
    btn: 'inline-flex items-center justify-center gap-1.5 h-8 px-3 rounded border border-strong bg-panel text-ink text-13px cursor-pointer select-none whitespace-nowrap hover:bg-sunken disabled:(opacity-50 cursor-not-allowed)',
    'btn-primary': 'btn border-accent bg-accent text-onaccent hover:(bg-accent brightness-110)',
    'btn-quiet': 'inline-flex items-center justify-center gap-1 h-7 px-2 rounded border border-transparent bg-transparent text-soft text-12px cursor-pointer hover:(bg-sunken text-ink) disabled:(opacity-40 cursor-not-allowed)',
    mono: 'font-mono text-12px',
    num: 'tabular-nums',
    th: 'text-left text-12px font-500 text-soft px-3 py-1.5 whitespace-nowrap',
    td: 'px-3 py-1.5 text-13px align-top',
    link: 'text-accent no-underline hover:underline',
  },
});
