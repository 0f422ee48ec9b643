//! The events of clients that take part in calls: `video:join`, `video:leave` and `signal`.
//!
//! Their argument is the body of the same request over HTTP, and the answer is in the acknowledgement. No
//! setting gives these names another meaning.

use santral_core::names::SessionToken;
use santral_core::socketio::Args;
use serde::de::DeserializeOwned;

use super::{Answer, Socket};
use crate::hub::shard_thread::LocalShard;
use crate::service::Refusal;
use crate::service::video::{Guest, VideoRooms};

/// Carries out an event of a call; `None` if the name is none of these.
pub async fn carry_out_in_room(
    local: &LocalShard,
    video: &VideoRooms,
    socket: &Socket,
    guest: &Guest<'_>,
    name: &str,
    args: &Args,
) -> Option<Result<Answer, Refusal>> {
    Some(match name {
        "video:join" => join(local, video, socket, guest, args).await,
        "video:leave" => leave(local, video, socket, args).await,
        "signal" => signal(local, video, socket, args).await,
        _ => return None,
    })
}

async fn join(
    local: &LocalShard,
    video: &VideoRooms,
    socket: &Socket,
    guest: &Guest<'_>,
    args: &Args,
) -> Result<Answer, Refusal> {
    let session = session_of(local, socket)?;
    Ok(Answer::done(&video.join_from(guest, &session, body(args)?).await?))
}

async fn leave(local: &LocalShard, video: &VideoRooms, socket: &Socket, args: &Args) -> Result<Answer, Refusal> {
    let session = session_of(local, socket)?;
    video.leave_from(&session, body(args)?).await?;
    Ok(Answer::done(&serde_json::Map::new()))
}

async fn signal(local: &LocalShard, video: &VideoRooms, socket: &Socket, args: &Args) -> Result<Answer, Refusal> {
    let session = session_of(local, socket)?;
    Ok(Answer::done(&video.signal_from(&session, body(args)?).await?))
}

fn session_of(local: &LocalShard, socket: &Socket) -> Result<SessionToken, Refusal> {
    let token = local.with(|shard, _| shard.view(socket.session).map(|view| view.token().clone()));
    token.ok_or(Refusal::NoSession)
}

/// The first argument, which is an object. What is wrong with it is not repeated: it may be a password.
fn body<T: DeserializeOwned>(args: &Args) -> Result<T, Refusal> {
    const SHAPE: Refusal = Refusal::Content("the first argument is not the object that this event takes");
    let (first, _) = args.split_first().ok_or(SHAPE)?;
    if !first.get().starts_with('{') {
        return Err(SHAPE);
    }
    serde_json::from_str(first.get()).map_err(|_| SHAPE)
}
