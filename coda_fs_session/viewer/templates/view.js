"use strict";
(() => {
  const main = document.getElementById("main");
  const status = document.getElementById("status");
  const served = Boolean(status);
  const all = (selector, within = document) => [...within.querySelectorAll(selector)];
  const say = (text) => { if (status) { status.textContent = text; } };
  const typing = (target) => target.closest("input, textarea, [contenteditable]");

  // Moving about: messages, forks, ways.
  const steps = (selector) => all(selector).filter((each) => each.offsetParent);
  const placed = (each) => each.getBoundingClientRect().top;
  let at = null;
  const go = (target) => {
    if (!target) { return; }
    at = target;
    target.focus({ preventScroll: true });
    target.scrollIntoView({ block: "start", behavior: "instant" });
  };
  const step = (selector, forward) => {
    const found = steps(selector);
    const from = at && at.isConnected ? placed(at) : 60;
    const behind = found.filter((each) => (forward ? placed(each) > from + 2 : placed(each) < from - 2));
    go(forward ? behind[0] : behind.at(-1));
  };
  const sibling = (forward) => {
    const forks = steps(".fork");
    const line = at && at.isConnected ? placed(at) + 2 : innerHeight / 2;
    const fork = forks.filter((each) => placed(each) <= line).at(-1) || forks[0];
    if (!fork) { return; }
    const ways = all(".way", fork), here = ways.findIndex((each) => each.classList.contains("here"));
    const next = ways[(here + (forward ? 1 : -1) + ways.length) % ways.length];
    const link = next && next.querySelector("a.way-name");
    if (link) { link.click(); }
  };
  const copy = async () => {
    const held = at && at.isConnected && at.dataset.copy ? at : main;
    if (!held.dataset.copy) { return; }
    try { await navigator.clipboard.writeText(held.dataset.copy); say(`Copied: ${held.dataset.copy}`); } catch { say(held.dataset.copy); }
  };
  const keys = {
    j: () => step(".message", true), k: () => step(".message", false),
    n: () => step(".fork", true), p: () => step(".fork", false),
    "]": () => sibling(true), "[": () => sibling(false), c: copy,
    "/": () => { const box = document.querySelector("#filter, #query"); if (box) { box.focus(); } else if (served) { location.href = "/search"; } },
  };
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || typing(event.target) || !keys[event.key]) { return; }
    event.preventDefault();
    keys[event.key]();
  });
  document.addEventListener("focusin", (event) => { at = event.target.closest(".message, .fork") || at; });
  if (!served) { return; }

  // Pages that come in parts: what follows a fork, what comes next, what is new.
  const fetched = async (address) => {
    const answer = await fetch(address, { headers: { Accept: "text/html" } });
    if (!answer.ok) { throw new Error(String(answer.status)); }
    return new DOMParser().parseFromString(await answer.text(), "text/html");
  };
  const thread = document.getElementById("messages");
  let path = location.pathname;
  const sent = new WeakMap();
  const keep = (nodes) => nodes.forEach((each) => sent.set(each, each.outerHTML));
  const anew = (page, selector) => {
    const old = document.querySelector(selector), come = page.querySelector(selector);
    if (old && come) { old.replaceWith(document.adoptNode(come)); } else if (old) { old.remove(); }
    else if (come && thread) { thread.after(document.adoptNode(come)); }
  };
  const refit = (page) => {
    document.title = page.title;
    ["live", "count", "copy"].forEach((name) => { main.dataset[name] = page.getElementById("main").dataset[name]; });
    [".head", ".strip", ".bar .here", ".forks", ".more"].forEach((each) => anew(page, each));
    watchEnd();
  };
  const fit = (page, from) => {
    // Above `from` everything stays. What is as it was is left as it is, with what is open in it.
    const come = [...page.getElementById("messages").children];
    const old = [...thread.children];
    let place = from;
    come.slice(from).forEach((each) => {
      const text = each.outerHTML, known = old[place];
      if (known && sent.get(known) === text) { place += 1; return; }
      const added = document.adoptNode(each);
      if (known) { known.replaceWith(added); } else { thread.append(added); }
      sent.set(added, text);
      place += 1;
    });
    old.slice(place).forEach((each) => each.remove());
    thread.dataset.stop = page.getElementById("messages").dataset.stop;
  };
  const swap = async (link) => {
    const fork = link.closest(".fork"), from = [...thread.children].indexOf(fork), above = placed(fork);
    const page = await fetched(link.href);
    const matches = page.getElementById("messages")?.children[from];
    if (!matches || matches.id !== fork.id) { location.href = link.href; return; }
    fit(page, from);
    refit(page);
    history.pushState(null, "", link.href);
    path = location.pathname;
    const now = thread.children[from], top = scrollY + placed(now) - above;
    // A shorter way must not pull up what is above it.
    main.style.minHeight = `${top + innerHeight}px`;
    scrollTo({ top, behavior: "instant" });
    at = now;
    now.focus({ preventScroll: true });
    say(`Now: ${main.dataset.live}`);
  };
  const more = async (link) => {
    link.closest(".more").removeAttribute("class");
    const page = await fetched(link.href);
    const come = [...page.getElementById("messages").children].map((each) => document.adoptNode(each));
    link.parentElement.className = "more";
    keep(come);
    thread.append(...come);
    thread.dataset.stop = page.getElementById("messages").dataset.stop;
    anew(page, ".more");
    watchEnd();
  };
  const ends = new IntersectionObserver((seen) => seen.filter((each) => each.isIntersecting).forEach((each) => {
    ends.disconnect();
    more(each.target.querySelector("[rel=next]")).catch(() => say("The next messages cannot be read"));
  }), { rootMargin: "900px" });
  const watchEnd = () => { ends.disconnect(); all(".more:has([rel=next])").filter(() => thread).forEach((each) => ends.observe(each)); };
  if (thread) {
    keep([...thread.children]);
    watchEnd();
    document.addEventListener("click", (event) => {
      const link = event.target.closest("a[data-swap]");
      if (!link || event.ctrlKey || event.metaKey || event.shiftKey || event.button) { return; }
      event.preventDefault();
      swap(link).catch(() => { location.href = link.href; });
    });
    addEventListener("popstate", () => { if (location.pathname !== path) { location.reload(); } });
    const told = location.pathname.match(/\/at\/(\d+)$/);
    if (told && !location.hash) { document.getElementById(`m${told[1]}`)?.scrollIntoView({ block: "start", behavior: "instant" }); }
  }
  const news = async () => {
    if (document.querySelector(".more")) {
      const page = await fetched(location.pathname);
      say(`${page.getElementById("main").dataset.count} messages now`);
      return;
    }
    const before = Number(main.dataset.count), low = innerHeight + scrollY > document.body.scrollHeight - 120;
    const first = thread.querySelector(".message"), number = first ? first.dataset.number : 1;
    const page = await fetched(`/s/${location.pathname.split("/")[2]}/at/${number}`);
    fit(page, 0);
    refit(page);
    const added = Number(main.dataset.count) - before;
    say(added > 0 ? `${added} new` : "changed just now");
    if (low) { scrollTo({ top: document.body.scrollHeight }); }
  };

  // The list: rows of one height, of which those in sight are there.
  const rows = document.getElementById("rows"), box = document.getElementById("filter"), hidden = document.getElementById("all");
  let known = [], found = [];
  const two = (number) => String(number).padStart(2, "0");
  const when = (time) => `${time.getFullYear()}-${two(time.getMonth() + 1)}-${two(time.getDate())} ${two(time.getHours())}:${two(time.getMinutes())}`;
  const element = (tag, name, text, inside = []) => {
    const made = document.createElement(tag);
    made.className = name;
    if (text) { made.textContent = text; }
    made.append(...inside);
    return made;
  };
  const row = (info, place, height) => {
    const title = element("span", "row-name", info.title || info.name), words = element("span", "words", info.words);
    title.dir = words.dir = "auto";
    const link = element("a", "", "", [title, ...info.flags.map((each) => element("span", "flag", each)), words]);
    // Names of dots: see in_address.
    link.href = `/s/${encodeURIComponent(/^\.\.?$/.test(info.name) ? `${info.name}\0` : info.name)}`;
    const facts = [info.count.toLocaleString("en"), when(new Date(info.updated)), info.source].filter(Boolean);
    const made = element("li", "row", "", [link, element("span", "facts", "", facts.map((each) => element("span", "", each)))]);
    made.style.transform = `translateY(${place * height}px)`;
    made.setAttribute("aria-posinset", place + 1);
    made.setAttribute("aria-setsize", found.length);
    return made;
  };
  const draw = () => {
    const height = 64, top = Math.max(Math.floor(-placed(rows) / height) - 8, 0);
    const drawn = found.slice(top, top + Math.ceil(innerHeight / height) + 16);
    const focused = document.activeElement?.closest?.(".row")?.querySelector("a")?.href;
    rows.firstElementChild.replaceChildren(...drawn.map((info, number) => row(info, top + number, height)));
    if (focused) { all("a", rows).find((each) => each.href === focused)?.focus({ preventScroll: true }); }
  };
  const filter = () => {
    const words = box.value.toLowerCase().split(/\s+/).filter(Boolean);
    found = known.filter((info) => (hidden.checked || !info.hidden) && words.every((word) => info.text.includes(word)));
    rows.style.height = `${Math.max(found.length * 64, innerHeight)}px`;
    document.getElementById("shown").textContent = `${found.length.toLocaleString("en")} of ${known.length.toLocaleString("en")} sessions`;
    draw();
  };
  const list = async () => {
    known = (await (await fetch("/sessions.json")).json()).map((info) => ({ flags: [], ...info }));
    known.forEach((info) => { info.text = [info.name, info.title, info.source, info.words, info.more, ...info.flags].join(" ").toLowerCase(); });
    rows.classList.add("virtual");
    all(".alone > .more").forEach((each) => each.remove());
    box.disabled = hidden.disabled = false;
    filter();
  };
  const searchFor = (text) => { if (text.trim()) { location.href = `/search?q=${encodeURIComponent(text.trim())}`; } };
  all("#filter, #query").forEach((each) => {
    each.disabled = false;
    each.addEventListener("keydown", (event) => { if (event.key === "Enter") { searchFor(each.value); } else if (event.key === "Escape") { each.blur(); } });
  });
  if (rows) {
    list().catch(() => say("The list cannot be read"));
    box.addEventListener("input", filter);
    hidden.addEventListener("change", filter);
    addEventListener("scroll", () => requestAnimationFrame(draw), { passive: true });
    addEventListener("resize", draw);
  }
  if (document.body.classList.contains("on-search")) { document.getElementById("query").focus(); }

  // Live: an event is a hint that there is something to read.
  if (main.dataset.live !== undefined) {
    const events = new EventSource("/events");
    let waiting = 0, missed = false;
    const look = () => { waiting = 0; (rows ? list() : news()).catch(() => say("It cannot be read now")); };
    events.addEventListener("change", (event) => {
      const told = JSON.parse(event.data);
      if ((rows || told.names.includes(main.dataset.live)) && !waiting) { waiting = setTimeout(look, rows ? 400 : 50); }
    });
    events.addEventListener("error", () => { missed = true; say("The viewer has ended, or cannot be reached"); });
    events.addEventListener("open", () => { if (missed) { missed = false; say(""); look(); } });
  }
})();
