// Tells everyone, one team, or all but one team. The same for npm socket.io and for Santral.
'use strict';

exports.sockets = (io, socket) => {
  socket.on('join', (room, answer) => {
    socket.join(room);
    answer({ ok: true, room });
  });
};

exports.backend = {
  '/notify': (io, { title, team, except }) => {
    let target = io;
    if (team) target = target.to(`team:${team}`);
    if (except) target = target.except(`team:${except}`);
    target.emit('notification', { title, icon: Buffer.from([1, 2, 3]) });
  },
};
