"use strict";
// What keys and buttons do: one table, from which the help is made. Then everything starts.
civitai.room("main", ["words", "dom", "store", "library", "grid", "find", "facets", "models", "viewer"], (needs) => {
  const { words, dom, store, library, grid, find, facets, models, viewer } = needs;

  // Keys, where they count, and what they do; "grid" is only told here, since the grid moves the focus itself.
  const KEYS = [
    ["Control+k, /", "list", "search"],
    ["?", "list", "help"],
    ["b", "list", "cover"],
    ["1", "list", "view-grid"],
    ["2", "list", "view-list"],
    ["3", "list", "view-compact"],
    ["ArrowLeft, ArrowRight, ArrowUp, ArrowDown", "grid", "move"],
    ["Enter", "grid", "open"],
    ["ArrowRight, n", "viewer", "next"],
    ["ArrowLeft, p", "viewer", "previous"],
    ["Escape", "viewer", "close"],
    ["+, =", "viewer", "zoom-in"],
    ["-", "viewer", "zoom-out"],
    ["z", "viewer", "actual"],
    ["Shift+Arrow", "viewer", "pan"],
    ["c", "viewer", "copy-prompt"],
    ["s", "viewer", "slideshow"],
    ["g", "viewer", "ground"],
    ["i", "viewer", "details"],
  ].map(([keys, where, doing]) => ({ keys: keys.split(", "), where, doing }));

  // The search lies under the viewer, which therefore closes first.
  const leaveViewer = () => {
    if (!viewer.isOpen()) return false;
    const search = () => requestAnimationFrame(() => act("search", null));
    dom.find("#viewer").addEventListener("close", search, { once: true });
    store.close();
    return true;
  };

  const own = { help: () => showHelp(), search: leaveViewer };
  const views = [{ actions: own }, viewer, facets, find, grid, models];

  const act = (doing, element, event) =>
    views.some(({ actions }) => Object.hasOwn(actions, doing) && actions[doing](element, event) !== false);

  const TEXT = "input:not([type=checkbox], [type=file]), textarea, select, [contenteditable]";
  const isText = (node) => node.closest?.(TEXT);

  const pressed = ({ key, ctrlKey, metaKey, altKey }) => {
    if (altKey) return "";
    return ctrlKey || metaKey ? `Control+${key.toLowerCase()}` : key.length > 1 ? key : key.toLowerCase();
  };

  const keyDown = (event) => {
    const key = pressed(event);
    const aside = isText(event.target) && !key.startsWith("Control+");
    if (event.defaultPrevented || aside || !store.state.settings.keys) return;
    if (dom.maybeFind("dialog[open]:not(#viewer)")) return;
    const here = viewer.isOpen() ? ["viewer", "list"] : ["list"];
    const found = KEYS.find(({ keys, where }) => here.includes(where) && keys.includes(key));
    if (found && act(found.doing, null, event)) event.preventDefault();
  };

  const keyName = (key) => dom.el("kbd", { text: words.has(`key-name.${key}`) ? words.say(`key-name.${key}`) : key });

  const helpOf = (where) => {
    const rows = KEYS.filter((each) => each.where === where).map(({ keys, doing }) => [
      dom.el("dt", {}, keys.map(keyName)),
      dom.el("dd", { text: words.say(`key.${doing}`) }),
    ]);
    return [dom.el("h3", { text: words.say(`help.${where}`) }), dom.el("dl", {}, rows)];
  };

  const showHelp = () => {
    const dialog = dom.find("#help");
    const title = dom.el("h2", { text: words.say("help.title"), id: "help-title" });
    const close = dom.el("form", { method: "dialog" }, dom.el("button", { text: words.say("help.close") }));
    dom.fill(dialog, title, ["list", "grid", "viewer"].map(helpOf), close);
    if (!dialog.open) dialog.showModal();
  };

  const translate = () => {
    document.documentElement.lang = words.language;
    document.title = words.say("title");
    for (const node of document.querySelectorAll("[data-word]")) node.textContent = words.say(node.dataset.word);
    for (const node of document.querySelectorAll("[data-word-label]")) {
      const text = words.say(node.dataset.wordLabel);
      node.setAttribute("aria-label", text);
      if (node.matches("button, select, input")) node.title = text;
    }
  };

  translate();
  dom.on(document, "click", "button[data-do]", (button, event) => act(button.dataset.do, button, event));
  dom.on(document, "change", "select[data-do], input[data-do]", (field, event) => act(field.dataset.do, field, event));
  document.addEventListener("keydown", keyDown);
  library.start();

  return { KEYS };
});
