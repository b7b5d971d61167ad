// Before anything is drawn: the theme that the address or this browser remembers, so that nothing flashes.
(() => {
  let theme = new URLSearchParams(location.search).get("theme");
  try {
    theme = theme || localStorage.getItem("theme");
  } catch {
    // no storage here
  }
  if (theme === "dark" || theme === "light") document.documentElement.dataset.theme = theme;
})();
