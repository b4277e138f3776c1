type Choice = 'light' | 'dark';

/** The chosen theme, remembered; without a choice the system's preference decides (src/theme.css). */
export class Theme {
  #choice = $state<Choice | null>(null);
  #systemIsDark = $state(false);

  constructor() {
    const query = window.matchMedia('(prefers-color-scheme: dark)');
    this.#systemIsDark = query.matches;
    query.addEventListener('change', (event) => (this.#systemIsDark = event.matches));
    const { theme } = document.documentElement.dataset;
    if (theme === 'light' || theme === 'dark') this.#choice = theme;
  }

  get isDark(): boolean {
    return this.#choice === null ? this.#systemIsDark : this.#choice === 'dark';
  }

  toggle(): void {
    const choice: Choice = this.isDark ? 'light' : 'dark';
    this.#choice = choice;
    document.documentElement.dataset['theme'] = choice;
    try {
      localStorage.setItem('theme', choice);
    } catch {
      // Storage may be forbidden; the choice then holds until the page is left.
    }
  }
}
