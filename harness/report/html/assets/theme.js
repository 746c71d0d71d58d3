// Light and dark: as the system prefers, or as the button says.

const THEME = "netpol-theme";
const themeButton = document.getElementById("theme");

function isDark() {
  const forced = document.documentElement.dataset.theme;
  return forced ? forced === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
}

function nameTheme() {
  themeButton.textContent = isDark() ? "Light" : "Dark";
}

// A page that was opened as a file may have no storage.
function remembered(change) {
  try {
    return change ? localStorage.setItem(THEME, change) : localStorage.getItem(THEME);
  } catch {
    return null;
  }
}

const theme = remembered();
if (theme === "dark" || theme === "light") document.documentElement.dataset.theme = theme;
nameTheme();
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", nameTheme);
themeButton.addEventListener("click", () => {
  document.documentElement.dataset.theme = isDark() ? "light" : "dark";
  remembered(document.documentElement.dataset.theme);
  nameTheme();
});
