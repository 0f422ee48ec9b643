'use strict';

const socket = io(window.SERVER);
const element = (id) => document.getElementById(id);
let room = null;

function show(text) {
  const item = document.createElement('li');
  item.textContent = text;
  element('messages').append(item);
}

const tell = (state) => (element('state').textContent = state);
// Rooms are the server's memory of a connection, so they are joined anew on each.
socket.on('connect', () => (room ? join() : tell('connected')));
socket.on('disconnect', (reason) => tell(`disconnected: ${reason}`));
socket.on('chat message', (text) => show(`them: ${text}`));

function join() {
  socket.emit('join', room, (answer) => tell(answer.ok ? `in ${room}` : answer.error.message));
}

element('join').addEventListener('submit', (event) => {
  event.preventDefault();
  room = element('room').value;
  join();
});

element('say').addEventListener('submit', (event) => {
  event.preventDefault();
  socket.emit('chat message', element('text').value);
  show(`me: ${element('text').value}`);
  element('text').value = '';
});
