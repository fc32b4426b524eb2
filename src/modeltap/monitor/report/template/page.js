"use strict";
/* Finds and sorts; without it all is there, too, in the order of the report. */
const find = document.getElementById("find"), only = document.getElementById("only");

function filter() {
  const word = find.value.toLowerCase();
  for (const each of document.querySelectorAll(".card, .all tbody tr")) {
    const name = each.querySelector("h3, th").textContent.toLowerCase();
    each.hidden = !name.includes(word) || (only?.checked && !each.classList.contains("bad"));
  }
}

function number(row, column) {
  const text = row.cells[column]?.textContent.replace(/[,<>≥%\s]/g, "") ?? "";
  return text === "" ? -Infinity : Number(text);
}

function text(row, column) {
  return row.cells[column]?.textContent ?? "";
}

function sort(table, column, up) {
  const body = table.tBodies[0], rows = [...body.rows];
  const numeric = rows.every(row => !Number.isNaN(number(row, column)));
  const compare = numeric
    ? (a, b) => number(a, column) - number(b, column) || 0
    : (a, b) => text(a, column).localeCompare(text(b, column));
  body.append(...rows.sort((a, b) => (up ? compare(a, b) : compare(b, a))));
}

if (find) {
  document.querySelector(".tools").hidden = false;
  find.addEventListener("input", filter);
  only?.addEventListener("change", filter);
}
const table = document.querySelector(".all");
table?.querySelectorAll("thead th").forEach((head, column) => {
  const button = document.createElement("button");
  button.append(...head.childNodes);
  head.append(button);
  button.addEventListener("click", () => {
    const up = head.ariaSort === "descending";
    table.querySelectorAll("thead th").forEach(each => each.removeAttribute("aria-sort"));
    head.ariaSort = up ? "ascending" : "descending";
    sort(table, column, up);
  });
});
