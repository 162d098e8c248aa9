"use strict";
// The only way in which rooms make elements, hand out texts and speak to the reader.
civitai.room("dom", ["words"], ({ words }) => {
  const SVG = "http://www.w3.org/2000/svg";
  const SAFE = /^(?:#|https?:\/\/|(?!\/)[^:?#\\]+$)/i;
  const NOTICE = 4_000; // milliseconds

  const setProp = (node, name, value) => {
    if (/^(on|style$|href$|src$)/.test(name)) throw new TypeError(`"${name}" is not set here.`);
    const isPlain = typeof value !== "boolean" || name.startsWith("aria-");
    const written = isPlain ? value : value ? "" : null;
    if (name === "text") node.textContent = value;
    else if (name === "data" || name === "aria") {
      for (const [key, each] of Object.entries(value)) setProp(node, `${name}-${key}`, each);
    } else if (isThere(written)) node.setAttribute(name, written);
  };

  const isThere = (value) => value !== null && value !== undefined;
  const shown = (children) => children.flat(Infinity).filter((child) => child !== false && isThere(child));

  /** Makes an element. Among the attributes `text`, `data: {…}` and `aria: {…}` are understood. */
  const el = (tag, props = {}, ...children) => {
    const node = document.createElement(tag);
    for (const [name, value] of Object.entries(props)) setProp(node, name, value);
    node.append(...shown(children));
    return node;
  };

  /** Makes a picture from the symbols of index.html, for sighted readers only. */
  const icon = (name) => {
    const svg = document.createElementNS(SVG, "svg");
    const use = document.createElementNS(SVG, "use");
    setProp(svg, "class", "icon");
    setProp(svg, "aria-hidden", "true");
    use.setAttribute("href", `#i-${name}`);
    svg.append(use);
    return svg;
  };

  /** Makes a button for something to do; with an icon, its text is its name and title. */
  const button = (doing, wordKey, iconName = "", props = {}) => {
    const text = words.say(wordKey);
    const named = iconName ? { "aria-label": text, title: text } : { text };
    const data = { do: doing, ...props.data };
    return el("button", { type: "button", ...named, ...props, data }, iconName ? icon(iconName) : null);
  };

  const maybeFind = (selector, root = document) => root.querySelector(selector);

  /** Returns the first element that fits; throws if there is none. */
  const find = (selector, root = document) => {
    const node = maybeFind(selector, root);
    if (!node) throw new Error(`There is no "${selector}".`);
    return node;
  };

  /** Gives an element these children and no others. */
  const fill = (node, ...children) => {
    node.replaceChildren(...shown(children));
    return node;
  };

  /** The same, where most of them are there already: what stands right is not touched. */
  const renew = (node, ...children) => {
    const wanted = shown(children);
    const there = node.childNodes;
    wanted.forEach((child, k) => child === there[k] || node.insertBefore(child, there[k] ?? null));
    while (there.length > wanted.length) node.lastChild.remove();
  };

  // Sets an address that leads to a place of the page, a file of the folder or the web, and removes any other.
  const point = (attribute) => (node, url) => {
    if (url && SAFE.test(url)) node.setAttribute(attribute, url);
    else node.removeAttribute(attribute);
    return node;
  };

  /** Calls `handler(element, event)` for all elements of a kind under a root. */
  const on = (root, type, selector, handler) =>
    root.addEventListener(type, (event) => {
      const element = event.target.closest?.(selector);
      if (element && root.contains(element)) handler(element, event);
    });

  let silence = 0;

  /** Shows a sentence for a while and has it read out. */
  const announce = (text) => {
    const notice = find("#notice");
    clearTimeout(silence);
    fill(notice, text);
    silence = setTimeout(() => fill(notice), NOTICE);
  };

  /** Says in one line what is wrong, once for each name; an empty text takes the line away. */
  const trouble = (name, text) => {
    const place = find("#trouble");
    maybeFind(`[data-trouble="${name}"]`, place)?.remove();
    if (text) place.append(el("p", { data: { trouble: name }, text }));
    place.hidden = !place.hasChildNodes();
  };

  /** Copies a text to the clipboard and says so. */
  const copy = async (text) => {
    const done = await navigator.clipboard.writeText(text).then(() => true, () => false);
    announce(words.say(done ? "notice.copied" : "notice.not-copied"));
  };

  /** Shows an author's markup through the browser's own sanitiser, or else the text. */
  const html = (node, markup, text) => {
    if (node.setHTML) node.setHTML(markup);
    else node.textContent = text;
  };

  /** Returns a text with its hits marked; spans as `query.marks` returns them. */
  const marked = (text, spans) => {
    const all = document.createDocumentFragment();
    let end = 0;
    for (const [from, to] of spans) {
      all.append(text.slice(end, from), el("mark", {}, text.slice(from, to)));
      end = to;
    }
    all.append(text.slice(end));
    return all;
  };

  const styles = new WeakMap();

  /** Sets a style, unless it is as it was left. */
  const put = (node, key, value) => {
    const known = styles.get(node) ?? styles.set(node, {}).get(node);
    if (known[key] === value) return;
    known[key] = value;
    node.style[key] = value;
  };

  const [link, source] = [point("href"), point("src")];
  return {
    announce, button, copy, el, fill, find, html, icon, link, marked, maybeFind, on, put, renew, source, trouble,
  };
});
