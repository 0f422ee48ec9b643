// A worker that tells a room how far it is. It is the same for npm socket.io and for Santral: `io` is the
// server of the one, or an emitter that speaks to the other.
'use strict';

const pause = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));

exports.sockets = (io, socket) => {
  socket.on('join', (room, answer) => {
    socket.join(room);
    answer({ ok: true, room });
  });
};

async function work(io, job) {
  const steps = [[10, 'unpacking'], [50, 'resizing'], [90, 'uploading']];
  for (const [percent, note] of steps) {
    io.to(`job:${job}`).emit('progress', percent, note);
    await pause(100);
  }
  io.to(`job:${job}`).emit('done', { steps: steps.length });
}

exports.backend = { '/jobs': (io, { job }) => void work(io, job) };
