// What npm socket.io needs to know. Santral needs nothing of it: `join` is a command there, and an event
// that is no command goes to the others in the sender's rooms.
'use strict';

exports.sockets = (io, socket) => {
  socket.on('join', (room, answer) => {
    socket.join(room);
    answer({ ok: true, room });
  });
  socket.on('chat message', (text) => {
    const rooms = [...socket.rooms].filter((room) => room !== socket.id);
    socket.to(rooms).emit('chat message', text);
  });
};
