'use strict';

// Whoever opens the page with the same ?job= watches the same job.
const job = new URLSearchParams(location.search).get('job') ?? '1';
const socket = io(window.SERVER);
const element = (id) => document.getElementById(id);

socket.on('connect', () => {
  socket.emit('join', `job:${job}`, (answer) => {
    element('state').textContent = answer.ok ? `watching job ${job}` : answer.error.message;
    element('start').disabled = !answer.ok;
  });
});

socket.on('progress', (percent, note) => {
  element('progress').value = percent;
  element('note').textContent = `${percent} % ${note}`;
});

socket.on('done', ({ steps }) => {
  element('note').textContent = `done after ${steps} steps`;
});

element('start').addEventListener('click', () => {
  fetch('/jobs', { method: 'POST', body: JSON.stringify({ job }) });
});
