// The lines of a comparison that have all words of the text.

const TEXT = document.getElementById("f-text");

function applyText() {
  const words = TEXT.value.toLowerCase().split(/\s+/).filter(Boolean);
  let [shown, all] = [0, 0];
  for (const body of document.querySelectorAll("tbody")) {
    const group = body.querySelector(".group");
    const rows = [...body.rows].filter((row) => row !== group);
    for (const row of rows) {
      const text = `${group?.textContent} ${row.textContent}`.toLowerCase();
      row.hidden = !words.every((word) => text.includes(word));
    }
    const found = rows.filter((row) => !row.hidden).length;
    if (group) group.hidden = !found;
    shown += found;
    all += rows.length;
  }
  document.getElementById("f-count").textContent = `${shown} of ${all} lines`;
}

if (TEXT) {
  TEXT.addEventListener("input", applyText);
  TEXT.form.addEventListener("submit", (event) => event.preventDefault());
  applyText();
}
document.documentElement.dataset.ready = "yes";
