// What all pages share: mark what scrolls sideways.
function markScrolling() {
  for (const box of document.querySelectorAll('.scroll')) {
    box.parentNode.classList.toggle('scrolls', box.scrollWidth > box.clientWidth + 1);
  }
}
addEventListener('load', markScrolling);
addEventListener('resize', markScrolling);
