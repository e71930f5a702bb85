/** What the operator has chosen; `system` follows the browser. */
export type Theme = "system" | "light" | "dark";
export const themes: readonly Theme[] = ["system", "light", "dark"];
const key = "chihaya.theme";

/** Returns the stored choice. Storage may be forbidden; then the choice lasts as long as the page. */
export function storedTheme(): Theme {
  try {
    const stored = localStorage.getItem(key) as Theme;
    return themes.includes(stored) ? stored : "system";
  } catch {
    return "system";
  }
}

/** Shows a theme and stores the choice. */
export function applyTheme(theme: Theme): void {
  if (theme === "system") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
  try {
    localStorage.setItem(key, theme);
  } catch {
    // The choice is gone with the page.
  }
}
