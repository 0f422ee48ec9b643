'use strict';

const team = new URLSearchParams(location.search).get('team') ?? 'red';
const socket = io(window.SERVER);
const element = (id) => document.getElementById(id);
let unread = 0;

socket.on('connect', () => {
  socket.emit('join', `team:${team}`, (answer) => {
    element('state').textContent = answer.ok ? `of team ${team}` : answer.error.message;
  });
});

socket.on('notification', ({ title, icon }) => {
  const item = document.createElement('li');
  // The icon comes as bytes.
  item.textContent = `${title} (${icon ? new Uint8Array(icon).length : 0} bytes)`;
  element('list').append(item);
  element('unread').textContent = ++unread;
});

element('read').addEventListener('click', () => {
  element('unread').textContent = unread = 0;
});
