//! Sessions by long polls: a poll waits where its session lives, whichever thread it came to.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::oneshot;

use santral_core::names::SessionToken;

use super::Refusal;
use super::commands;
use super::streams::Opening;
use crate::auth::Principal;
use crate::hub::shard_thread::LocalShard;

/// What became of a poll.
pub enum Poll {
    /// What its session had to say; nothing when the wait was over.
    Answered(Bytes),
    /// The session is not served by polls, or its client has missed an answer: it must be opened anew, from
    /// where the client is.
    MustBegin,
}

/// Serves a session by polls from now on; its client is told what the opening says.
pub fn begin(shard: &LocalShard, opening: Opening) {
    shard.link_poll(opening.session, opening.position, opening.slot);
}

/// Waits for what comes behind `position`, at most for `wait`.
///
/// # Errors
/// [`Refusal::NoSession`] for a session of somebody else.
pub async fn wait(
    local: &LocalShard,
    principal: &Principal,
    token: &SessionToken,
    position: &str,
    wait: Duration,
) -> Result<Poll, Refusal> {
    let hub = local.hub();
    let Some(shard) = hub.directory.find(token) else { return Ok(Poll::MustBegin) };
    let (answer, mut answered) = oneshot::channel();
    let (own, owner, at) = (token.clone(), Arc::clone(&principal.name), position.to_owned());
    let held = hub.call_local(shard, move |local| {
        let key = local.with(|shard, _| shard.find_own_session(&own, &owner));
        key.map(|key| (key, local.hold_poll(key, &at, answer).is_ok()))
    });
    let Some(Some((key, is_held))) = held.await else { return Ok(Poll::MustBegin) };
    if !is_held {
        return Ok(Poll::MustBegin);
    }
    // Each poll shows who asks; what ends is the right that was shown last.
    if principal.expires_at.is_some() {
        commands::keep_right(local, principal, token).await?;
    }
    if let Ok(lines) = actix_rt::time::timeout(wait, &mut answered).await {
        return Ok(lines.map_or(Poll::MustBegin, Poll::Answered));
    }
    // What comes in the same moment still comes with this answer.
    hub.call_local(shard, move |local| local.end_poll(key)).await;
    Ok(answered.await.map_or(Poll::MustBegin, Poll::Answered))
}
