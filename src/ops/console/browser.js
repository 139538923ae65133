// What a script adds to the console, which works without it: `/` goes to the search, a click copies a reference, times are also
// shown in the browser's own time zone, and pages that change are reloaded, but not while somebody selects, types or has
// something open.
(() => {
  const main = document.getElementById('main');
  const search = document.getElementById('search');
  const refreshMs = Number(main.dataset.refreshSeconds) * 1000;

  if (matchMedia('(hover: hover)').matches) search.placeholder += ', or press /';
  document.addEventListener('keydown', (event) => {
    const isTyping = event.target instanceof Element && event.target.closest('input, select, textarea') !== null;
    if (event.key === '/' && !isTyping && !event.ctrlKey && !event.metaKey && !event.altKey) {
      event.preventDefault();
      search.focus();
      search.select();
    }
    if (event.key === 'Escape') {
      for (const open of document.querySelectorAll('details.confirm[open]')) open.open = false;
    }
  });

  document.addEventListener('toggle', closeOthers, true);
  function closeOthers({ target }) {
    if (!target.open || !target.classList.contains('confirm')) return;
    for (const other of document.querySelectorAll('details.confirm[open]')) if (other !== target) other.open = false;
  }

  const selectAll = document.createElement('input');
  selectAll.type = 'checkbox';
  selectAll.ariaLabel = 'Select all of this page';
  selectAll.addEventListener('change', () => {
    for (const box of document.querySelectorAll('td input[type=checkbox]')) box.checked = selectAll.checked;
  });
  document.querySelector('th.narrow')?.replaceChildren(selectAll);

  function addCopyButtons() {
    if (navigator.clipboard === undefined) return;
    for (const element of document.querySelectorAll('[data-copy]')) {
      if (element.nextElementSibling?.matches('button')) continue;
      const button = document.createElement('button');
      button.type = 'button';
      button.className = 'pill';
      button.textContent = 'Copy';
      button.ariaLabel = `Copy ${element.textContent}`;
      button.addEventListener('click', () => void copy(element, button));
      element.after(' ', button);
    }
  }

  function addLocalTimes() {
    for (const time of document.querySelectorAll('time:not([title])')) {
      time.title = `${new Date(time.dateTime).toLocaleString([], { dateStyle: 'medium', timeStyle: 'long' })} here`;
    }
  }

  async function copy(element, button) {
    await navigator.clipboard.writeText(element.textContent);
    button.textContent = 'Copied';
    setTimeout(() => {
      button.textContent = 'Copy';
    }, 1500);
  }

  function isBusy() {
    const focused = document.activeElement;
    return (
      document.hidden ||
      !getSelection().isCollapsed ||
      main.querySelector('details[open]') !== null ||
      (main.contains(focused) && focused !== main)
    );
  }

  async function refresh() {
    const url = new URL(location.href);
    url.searchParams.delete('notice');
    const response = await fetch(url, { headers: { accept: 'text/html' } });
    const page = new DOMParser().parseFromString(await response.text(), 'text/html');
    const fresh = page.getElementById('main');
    if (fresh === null || isBusy()) return;
    main.replaceChildren(...fresh.childNodes);
    document.querySelector('nav').replaceChildren(...page.querySelector('nav').childNodes);
    addCopyButtons();
    addLocalTimes();
  }

  async function keepFresh() {
    for (;;) {
      await new Promise((resolve) => setTimeout(resolve, refreshMs));
      if (isBusy()) continue;
      try {
        await refresh();
        document.body.classList.remove('offline');
      } catch {
        document.body.classList.add('offline');
      }
    }
  }

  addCopyButtons();
  addLocalTimes();
  if (refreshMs > 0) void keepFresh();
})();
