// Lets the page keep a policy of `style-src 'self'`: whatever a library writes into `style` elements, or into `style` attributes of markup, is set
// through the CSSOM instead, which the policy allows (CSP 3, section 6.6.3). Monaco writes both. Loaded before all other scripts.
'use strict';
{
  /** Stands for a `style` element: its sheet is adopted by the document, or the shadow tree, that the element is in. */
  class AdoptedStyle extends HTMLElement {
    sheet = new CSSStyleSheet();
    #root = null;
    #texts = new MutationObserver(() => this.#read());

    connectedCallback() {
      this.style.display = 'none';
      this.#root = this.getRootNode();
      this.#root.adoptedStyleSheets.push(this.sheet);
      // Rules that were inserted one by one stay: they have no text.
      if (this.textContent) this.#read();
      this.#texts.observe(this, { childList: true, characterData: true, subtree: true });
    }

    disconnectedCallback() {
      this.#texts.disconnect();
      this.#root.adoptedStyleSheets = this.#root.adoptedStyleSheets.filter((sheet) => sheet !== this.sheet);
    }

    #read() {
      this.sheet.replaceSync(this.textContent);
    }
  }
  customElements.define('adopted-style', AdoptedStyle);

  const createElement = document.createElement;
  document.createElement = function (name, options) {
    return createElement.call(this, String(name).toLowerCase() === 'style' ? 'adopted-style' : name, options);
  };

  const innerHTML = Object.getOwnPropertyDescriptor(Element.prototype, 'innerHTML');
  const { insertAdjacentHTML } = Element.prototype;

  const TAG = /<[a-z][^\s"'<>/]*(?:[^"'<>]|"[^"]*"|'[^']*')*>/gi;
  const VALUE_OR_STYLE = /"[^"]*"|'[^']*'|\sstyle(?=\s*=)/gi;

  /** Nodes of markup. Even a parser of documents that are never shown asks the policy, so it is given the attribute by another name. */
  function nodesOf(markup) {
    const renamed = (tag) => tag.replace(VALUE_OR_STYLE, (found) => (/^\s/.test(found) ? ' data-style' : found));
    const template = document.createElement('template');
    innerHTML.set.call(template, String(markup).replace(TAG, renamed));
    const nodes = document.adoptNode(template.content);
    for (const element of nodes.querySelectorAll('[data-style]')) {
      element.style.cssText = element.dataset.style;
      delete element.dataset.style;
    }
    return nodes;
  }

  const isStyled = (element, markup) => /\bstyle\s*=/i.test(markup) && element.namespaceURI === 'http://www.w3.org/1999/xhtml';

  Object.defineProperty(Element.prototype, 'innerHTML', {
    ...innerHTML,
    set(markup) {
      if (isStyled(this, markup) && this.localName !== 'template') this.replaceChildren(nodesOf(markup));
      else innerHTML.set.call(this, markup);
    },
  });

  const places = { beforebegin: 'before', afterbegin: 'prepend', beforeend: 'append', afterend: 'after' };
  Element.prototype.insertAdjacentHTML = function (place, markup) {
    if (isStyled(this, markup)) this[places[place.toLowerCase()]](nodesOf(markup));
    else insertAdjacentHTML.call(this, place, markup);
  };
}
