import { svelte } from '@sveltejs/vite-plugin-svelte';
import { svelteTesting } from '@testing-library/svelte/vite';
import unocss from 'unocss/vite';
import { defineConfig } from 'vitest/config';

const server = process.env.DASHBOARD_URL ?? 'http://127.0.0.1:8080';

export default defineConfig({
  plugins: [unocss(), svelte(), svelteTesting()],
  build: {
    target: 'es2022',
    // The Content-Security-Policy allows no data: modules and no inline styles, so nothing is inlined.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
  },
  server: {
    proxy: {
      '/graphql/ws': { target: server, ws: true, changeOrigin: true },
      '/graphql': { target: server, changeOrigin: true },
    },
  },
  test: {
    environment: 'happy-dom',
    environmentOptions: { happyDOM: { settings: { navigation: { disableMainFrameNavigation: true, disableFallbackToSetURL: true } } } },
    include: ['tests/**/*.test.ts'],
    restoreMocks: true,
  },
});
