// A click on a heading sorts its table; a second one reverses the order.

// The sort order of two texts: numbers by value, words by letter, what is unknown last.
function compareTexts(one, other, words, down) {
  const unknown = [one, other].map((text) => text === '' || text === '-');
  if (unknown[0] || unknown[1]) return unknown[0] - unknown[1];
  const value = (text) => {
    const number = parseFloat(text.replace(/,/g, '').replace('\u2212', '-').replace('<', ''));
    return Number.isNaN(number) ? 0 : number; // "same" is a gain of 0
  };
  const order = words ? one.localeCompare(other, 'en', { numeric: true }) : value(one) - value(other);
  return down ? -order : order;
}

function sortBy(table, heading, column) {
  const words = heading.classList.contains('words');
  const before = heading.getAttribute('aria-sort');
  const down = before ? before === 'ascending' : !words; // the highest number first
  for (const other of heading.parentNode.cells) other.removeAttribute('aria-sort');
  heading.setAttribute('aria-sort', down ? 'descending' : 'ascending');
  const text = (row) => row.cells[column].textContent.trim();
  for (const body of table.tBodies) {
    const rows = [...body.rows].sort((a, b) => compareTexts(text(a), text(b), words, down));
    body.append(...rows);
  }
}

for (const table of document.querySelectorAll('table')) {
  const headings = table.tHead.rows[table.tHead.rows.length - 1].cells;
  [...headings].forEach((heading, column) => {
    heading.tabIndex = 0;
    heading.title = 'Sort';
    heading.onclick = () => sortBy(table, heading, column);
    heading.onkeydown = (event) => { if (event.key === 'Enter') sortBy(table, heading, column); };
  });
}
