// The page behind a link to a chat: it reads by the token behind the `#`, through the same API as everybody, and builds what it shows node by
// node. No text of a chat is ever read as HTML.

const PAGE = 50;
const QUERY = `
  query SharedChat($token: String!, $first: Int!, $after: String) {
    sharedChat(token: $token) {
      title live sharedBy createdAt
      messages(first: $first, after: $after) {
        nodes { role authorName status createdAt parts { __typename ... on TextPart { text } ... on NoticePart { text } } }
        pageInfo { hasNextPage endCursor }
      }
    }
  }`;
const EXPLANATIONS = {
  NOT_FOUND: 'There is nothing behind this link, or it is not for you. It may have expired, or somebody ended it.',
  UNAUTHENTICATED: 'This link is for members only. Sign in, then open it again.',
  THROTTLED: 'That was a little fast. Wait a moment, then try again.',
};
const UNKNOWN = 'The chat cannot be shown right now. Try again in a moment.';
const GROWING = new Set(['PENDING', 'STREAMING']);

const byId = (id) => document.getElementById(id);

function element(name, { text, ...properties } = {}, ...children) {
  const made = Object.assign(document.createElement(name), properties);
  if (text !== undefined) made.textContent = text;
  made.append(...children);
  return made;
}

// Lengths are bounded so that no text takes long to look through.
const INLINE =
  /`([^`\n]{1,500})`|\*\*([^*\n]{1,500})\*\*|\*([^*\s][^*\n]{0,500})\*|\[([^\]\n]{1,300})\]\((https?:\/\/[^\s)]{1,1000})\)/g;

function inline(text) {
  const nodes = [];
  let end = 0;
  for (const found of text.matchAll(INLINE)) {
    const [whole, code, strong, soft, label, address] = found;
    nodes.push(text.slice(end, found.index));
    end = found.index + whole.length;
    if (code !== undefined) nodes.push(element('code', { text: code }));
    else if (strong !== undefined) nodes.push(element('strong', { text: strong }));
    else if (soft !== undefined) nodes.push(element('em', { text: soft }));
    else nodes.push(element('a', { text: label, href: address, target: '_blank', rel: 'noopener noreferrer nofollow ugc' }));
  }
  nodes.push(text.slice(end));
  return nodes;
}

/** Turns the little Markdown that most answers need into nodes; whatever else there is stays text. */
function blocks(text) {
  const made = [];
  const lines = text.split('\n');
  const take = (matches) => {
    const taken = [];
    while (lines.length && matches(lines[0])) taken.push(lines.shift());
    return taken;
  };
  while (lines.length) {
    const [line] = lines;
    if (!line.trim()) lines.shift();
    else if (/^\s*```/.test(line)) {
      lines.shift();
      const code = take((next) => !/^\s*```\s*$/.test(next));
      lines.shift();
      made.push(element('pre', {}, element('code', { text: code.join('\n') })));
    } else if (/^#{1,6} /.test(line)) {
      const level = Math.min(4, Math.max(2, lines.shift().indexOf(' ') + 1));
      made.push(element(`h${level}`, {}, ...inline(line.replace(/^#+ /, ''))));
    } else if (/^\s*[-*+] /.test(line)) {
      const items = take((next) => /^\s*[-*+] /.test(next));
      made.push(element('ul', {}, ...items.map((item) => element('li', {}, ...inline(item.replace(/^\s*[-*+] /, ''))))));
    } else if (/^\s*\d{1,9}[.)] /.test(line)) {
      const items = take((next) => /^\s*\d{1,9}[.)] /.test(next));
      const start = Number.parseInt(line, 10);
      made.push(element('ol', { start }, ...items.map((item) => element('li', {}, ...inline(item.replace(/^\s*\d+[.)] /, ''))))));
    } else if (/^>/.test(line)) {
      const quoted = take((next) => /^>/.test(next));
      made.push(element('blockquote', {}, ...inline(quoted.map((one) => one.replace(/^> ?/, '')).join('\n'))));
    } else {
      const paragraph = [lines.shift(), ...take((next) => next.trim() && !/^(\s*```|#{1,6} |\s*[-*+] |\s*\d{1,9}[.)] |>)/.test(next))];
      made.push(element('p', {}, ...inline(paragraph.join('\n'))));
    }
  }
  return made;
}

function article(message) {
  const isUser = message.role === 'USER';
  const who = message.authorName ?? (isUser ? 'Somebody' : 'Assistant');
  const at = new Date(message.createdAt).toLocaleString([], { dateStyle: 'medium', timeStyle: 'short' });
  const made = element(
    'article',
    { className: isUser ? 'user' : 'assistant' },
    element('p', { className: 'who' }, `${who}, `, element('time', { dateTime: message.createdAt, text: at })),
  );
  for (const part of message.parts) {
    if (part.__typename === 'TextPart') {
      // What people write is shown as they wrote it.
      made.append(element('div', { className: 'said' }, ...(isUser ? [element('p', { text: part.text })] : blocks(part.text))));
    } else if (part.text !== undefined) made.append(element('p', { className: 'said notice', text: part.text }));
  }
  if (GROWING.has(message.status)) made.append(element('p', { className: 'said notice', text: 'This answer is still being written.' }));
  return made;
}

async function read(token, after) {
  const response = await fetch('/graphql', {
    method: 'POST',
    headers: { 'content-type': 'application/json', accept: 'application/graphql-response+json' },
    body: JSON.stringify({ query: QUERY, variables: { token, first: PAGE, after } }),
    cache: 'no-store',
    credentials: 'same-origin',
    referrerPolicy: 'no-referrer',
  });
  const { data, errors } = await response.json();
  if (errors) throw Object.assign(new Error('refused'), { code: errors[0].extensions?.code });
  return data.sharedChat;
}

let after;

async function show() {
  const token = location.hash.slice(1);
  const notice = byId('notice');
  byId('more').hidden = true;
  try {
    if (!token) throw Object.assign(new Error('no token'), { code: 'NOT_FOUND' });
    const chat = await read(token, after);
    const { nodes, pageInfo } = chat.messages;
    byId('title').textContent = document.title = chat.title ?? 'A shared chat';
    const kind = chat.live ? 'as it goes on' : `as it was on ${new Date(chat.createdAt).toLocaleDateString()}`;
    byId('about').textContent = `Shared by ${chat.sharedBy ?? 'somebody'}, ${kind}`;
    byId('messages').append(...nodes.map(article));
    after = pageInfo.endCursor ?? after;
    byId('more').hidden = !pageInfo.hasNextPage;
    notice.textContent = byId('messages').childElementCount ? '' : 'Nothing has been said yet.';
  } catch (error) {
    notice.textContent = EXPLANATIONS[error.code] ?? UNKNOWN;
    byId('more').hidden = after === undefined;
  }
  byId('messages').removeAttribute('aria-busy');
}

byId('more').addEventListener('click', show);
window.addEventListener('hashchange', () => location.reload());
show();
