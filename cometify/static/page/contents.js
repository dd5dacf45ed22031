/** Marks the section that is being read in the table of contents. */
import { find } from './elements.js';

export function setUpContents() {
  const links = new Map(
    [...document.querySelectorAll('.contents a')].map((link) => [link.hash.slice(1), link]),
  );
  const reading = new IntersectionObserver(
    (entries) => {
      for (const { target, isIntersecting } of entries) {
        const link = links.get(target.id);
        if (isIntersecting) link.setAttribute('aria-current', 'location');
        else link.removeAttribute('aria-current');
      }
    },
    // A thin band in the upper part of the window: the section that crosses it is being read.
    { rootMargin: '-25% 0px -74% 0px' },
  );
  for (const id of links.keys()) reading.observe(find(id));
}
