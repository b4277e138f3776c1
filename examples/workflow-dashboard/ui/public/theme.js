// Runs before the first paint, so that a remembered theme never flashes. A file of its own because the
// Content-Security-Policy forbids inline scripts.
try {
  const theme = localStorage.getItem('theme');
  if (theme === 'dark' || theme === 'light') document.documentElement.dataset.theme = theme;
} catch {
  // Storage may be forbidden; the system's preference decides then.
}
