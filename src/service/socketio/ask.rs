//! Asking clients on behalf of a server: what `emitWithAck` is elsewhere.

use std::time::Duration;

use serde_json::value::RawValue;

use santral_core::limits::{ASK_TIMEOUT_MAX, ASKED_CLIENTS_MAX};
use santral_core::names::EventName;
use santral_core::socketio::Args;
use santral_schema::publish::Answers;

use crate::auth::Principal;
use crate::hub::engineio::Question;
use crate::hub::shard_thread::LocalShard;
use crate::service::Refusal;
use crate::service::message::{Message, Target};
use crate::service::publish::check_right_to_publish;

/// Asks the Socket.IO clients that a message is for, and waits for their answers.
///
/// # Errors
/// [`Refusal::Forbidden`], and [`Refusal::Field`] for too long a wait.
pub async fn ask(
    local: &LocalShard,
    principal: &Principal,
    message: &Message,
    timeout: Duration,
) -> Result<Answers, Refusal> {
    check_right_to_publish(principal, &message.target)?;
    if message.key.is_some() {
        return Err(Refusal::IdempotencyKey("an idempotency key goes only with a message that is stored"));
    }
    if timeout > ASK_TIMEOUT_MAX {
        return Err(Refusal::Field("`ackTimeoutMs` is at most 60,000"));
    }
    let hub = local.hub();
    let (id, mut coming) = hub.questions.begin(ASKED_CLIENTS_MAX);
    let question = question_of(id, message);
    let mut asked = 0;
    for shard in 0..hub.options.workers {
        let question = question.clone();
        asked += match shard == local.index() {
            true => local.ask_sockets(&question),
            false => hub.call_local(shard, move |local| local.ask_sockets(&question)).await.unwrap_or_default(),
        };
    }
    let mut responses = Vec::new();
    let collect = async {
        while responses.len() < asked {
            let Some(args) = coming.recv().await else { return };
            responses.extend(answer_of(args));
        }
    };
    // Whoever has not answered by then is missing.
    let _ = actix_rt::time::timeout(timeout, collect).await;
    hub.questions.end(id);
    if responses.len() < asked {
        for shard in 0..hub.options.workers {
            local.tell_at(shard, move |local| local.forget_question(id));
        }
    }
    let missing = asked - responses.len().min(asked);
    Ok(Answers { receivers: count(asked), missing: count(missing), responses })
}

fn question_of(id: u64, message: &Message) -> Question {
    let (channels, connection) = match &message.target {
        Target::Channels(channels) => (channels.clone(), None),
        Target::Connection(connection) => (Vec::new(), Some(*connection)),
    };
    Question {
        id,
        channels,
        connection,
        except_channels: message.excepted.channels.clone(),
        except_connections: message.excepted.connections.clone(),
        event: message
            .event
            .as_ref()
            .map(EventName::on_socket_io)
            .map_or("message".to_owned(), |name| name.to_string()),
        data: message.content.data.to_string(),
        spread: message.content.spread,
    }
}

/// One argument is the answer itself, more or fewer are an array, as everywhere.
fn answer_of(args: Args) -> Option<Box<RawValue>> {
    RawValue::from_string(args.into_data().0).ok()
}

fn count(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}
