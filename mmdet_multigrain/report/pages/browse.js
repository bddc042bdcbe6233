// Shows the pictures of one class, and enlarges pictures: arrow keys move on, Escape closes.
const links = [...document.querySelectorAll('a[data-classes]')];
const choice = document.getElementById('class');
const large = document.getElementById('large');
const [picture, caption] = [large.querySelector('img'), large.querySelector('p')];
let current = null;

function filter() {
  const labels = choice.value.split(' '); // of a class, or of all classes of a group
  const shown = (link) => link.dataset.classes.split(' ').some((label) => labels.includes(label));
  const has = (link) => !choice.value || shown(link);
  for (const link of links) link.classList.toggle('off', !has(link));
  for (const group of document.querySelectorAll('.group')) {
    group.hidden = !group.querySelector('a:not(.off)');
  }
}

function show(link) {
  const all = links.filter((one) => !one.classList.contains('off'));
  current = link;
  large.classList.remove('whole');
  picture.src = link.href;
  picture.alt = link.title;
  caption.textContent = `${link.title} (${all.indexOf(link) + 1} of ${all.length})`;
}

function step(by) {
  const all = links.filter((one) => !one.classList.contains('off'));
  show(all[(all.indexOf(current) + by + all.length) % all.length]);
}

choice.onchange = filter;
choice.closest('p').hidden = !links.length;
for (const link of links) {
  link.onclick = (event) => {
    if (event.ctrlKey || event.metaKey || event.shiftKey) return; // a tab of its own
    event.preventDefault();
    show(link);
    large.showModal();
  };
}
large.onkeydown = (event) => {
  const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
  if (by && !large.classList.contains('whole')) step(by);
};
large.querySelector('.previous').onclick = () => step(-1);
large.querySelector('.next').onclick = () => step(1);
large.querySelector('.close').onclick = () => large.close();
picture.onclick = () => large.classList.toggle('whole');
filter(); // a browser keeps the choice when it reloads
