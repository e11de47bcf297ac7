// Dark or light: as the system has it, unless chosen otherwise.
const KEY = "shoal.theme";

export const THEMES = ["system", "light", "dark"];

export const theme = () => localStorage.getItem(KEY) ?? "system";

export function setTheme(name) {
  localStorage.setItem(KEY, name);
  applyTheme();
}

export function applyTheme() {
  document.documentElement.dataset.theme = theme();
}
