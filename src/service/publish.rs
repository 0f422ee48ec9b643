//! Publishing: the one way in for every edge.

use std::sync::Arc;

use sha2::{Digest, Sha256};
use tokio::sync::oneshot;

use santral_core::entry::{Entry, Publication, Sender};
use santral_core::limits::BATCH_ITEMS_MAX;
use santral_core::names::{ChannelName, ConnectionId};
use santral_core::position::{Offset, Position};
use santral_schema::access::Role;
use santral_schema::publish::{Receipt, ReceiptDurability};

use super::Refusal;
use super::message::{Message, Target, parse_key};
use crate::auth::Principal;
use crate::hub::Hub;
use crate::hub::delivery::Delivery;
use crate::hub::news::News;
use crate::hub::shard_thread::LocalShard;
use crate::hub::writer::Outcome;
use crate::ports::store::{Append, Durability, IdempotencyKey};
use crate::telemetry::metrics::labels::{Door, Outcome as Fate};

/// Publishes messages on behalf of somebody: all that are stored, in one commit or not at all; then
/// those that are not. Returns a receipt for each.
///
/// # Errors
/// [`Refusal`]; then nothing was published, save after [`StoreError::Failed`](crate::ports::store::StoreError),
/// when nobody knows: a key settles it.
pub async fn publish(
    shard: &LocalShard,
    principal: &Principal,
    from: &Sender,
    messages: Vec<Message>,
    request_key: Option<&str>,
) -> Result<Vec<Receipt>, Refusal> {
    if messages.is_empty() || messages.len() > BATCH_ITEMS_MAX {
        return Err(Refusal::Batch(messages.len()));
    }
    messages.iter().try_for_each(|message| check_right_to_publish(principal, &message.target))?;
    let request_key = request_key.map(parse_key).transpose()?;
    if request_key.is_some() && messages.iter().any(|message| message.volatile || message.key.is_some()) {
        return Err(Refusal::IdempotencyKey(
            "an Idempotency-Key header goes only with messages that are stored and have no key of their own",
        ));
    }
    let mut receipts = vec![None; messages.len()];
    store(shard.hub(), principal, from, &messages, request_key, &mut receipts).await?;
    for (message, receipt) in messages.iter().zip(&mut receipts) {
        if message.volatile {
            *receipt = Some(send_volatile(shard, from, message).await?);
        }
    }
    let receipts = receipts.into_iter().collect::<Option<Vec<_>>>().ok_or(Refusal::Stopped)?;
    count(shard.hub(), from, &messages, &receipts);
    tell(shard.hub(), from, &messages, &receipts);
    Ok(receipts)
}

/// Tells whoever listens; a message that came again is no news.
fn tell(hub: &Hub, from: &Sender, messages: &[Message], receipts: &[Receipt]) {
    let fresh = messages.iter().zip(receipts).filter(|(_, receipt)| receipt.receivers.is_some());
    for (message, _) in fresh.filter(|(message, _)| message.copies() > 0) {
        hub.news.tell(|| News::Message(Arc::new(message.news(from))));
    }
}

/// Counts what was published, once for the whole request.
fn count(hub: &Hub, from: &Sender, messages: &[Message], receipts: &[Receipt]) {
    // Whoever has a connection speaks by its session's commands.
    let door = if from.connection.is_some() { Door::Command } else { Door::Rest };
    let (mut stored, mut volatile, mut repeated, mut bytes) = (0, 0, 0, 0);
    for (message, receipt) in messages.iter().zip(receipts) {
        match (message.volatile, receipt.receivers) {
            (true, _) => volatile += 1,
            (false, Some(_)) => stored += 1,
            // The receivers of back then are not known any more.
            (false, None) => {
                repeated += 1;
                continue;
            }
        }
        bytes += message.content.data.len() as u64;
    }
    for (fate, count) in [(Fate::Stored, stored), (Fate::Volatile, volatile), (Fate::Repeated, repeated)] {
        if count > 0 {
            hub.metrics.publishes.of((door, fate)).inc_by(count);
        }
    }
    hub.metrics.publish_bytes.inc_by(bytes);
}

/// Channels are granted by pattern. Users and connections are spoken to by servers only: a person who
/// could, could speak to anybody.
pub(super) fn check_right_to_publish(principal: &Principal, target: &Target) -> Result<(), Refusal> {
    let is_server = matches!(principal.role, Role::Publisher | Role::Admin);
    let forbidden = |what: &str| Err(Refusal::Forbidden { right: "publish to", what: what.to_owned() });
    match target {
        Target::Channels(channels) => {
            let is_granted = |channel: &ChannelName| match channel.is_of_user() {
                true => is_server,
                false => principal.grants.publish.allow(channel),
            };
            channels.iter().find(|channel| !is_granted(channel)).map_or(Ok(()), |channel| forbidden(channel.as_str()))
        }
        Target::Connection(_) if is_server => Ok(()),
        Target::Connection(connection) => forbidden(connection.as_str()),
    }
}

/// Stores every message that is to be stored, in one commit.
async fn store(
    hub: &Arc<Hub>,
    principal: &Principal,
    from: &Sender,
    messages: &[Message],
    request_key: Option<Arc<str>>,
    receipts: &mut [Option<Receipt>],
) -> Result<(), Refusal> {
    let stored: Vec<usize> = (0..messages.len()).filter(|&index| !messages[index].volatile).collect();
    if stored.is_empty() {
        return Ok(());
    }
    // With a key for the whole request there is one part, else one for each message.
    let groups: Vec<Vec<usize>> =
        if request_key.is_some() { vec![stored] } else { stored.into_iter().map(|index| vec![index]).collect() };
    let at = Hub::wall_clock();
    let appends = groups.iter().map(|group| {
        let key = request_key.clone().or_else(|| messages[group[0]].key.clone());
        Append {
            at,
            publications: group.iter().flat_map(|&index| messages[index].publications(from)).collect(),
            key: key.map(|key| IdempotencyKey {
                principal: Arc::clone(&principal.name),
                key,
                fingerprint: fingerprint(group.iter().map(|&index| &messages[index])),
            }),
        }
    });
    let outcomes = hub.writer.append(appends.collect()).await?;
    for (group, outcome) in groups.iter().zip(outcomes) {
        let mut places = places(outcome)?.into_iter();
        for &index in group {
            let count = messages[index].copies();
            receipts[index] = stored_receipt(hub, places.by_ref().take(count));
        }
    }
    Ok(())
}

/// The offset of each publication, with its receivers where they are known.
fn places(outcome: Outcome) -> Result<Vec<(Offset, Option<u32>)>, Refusal> {
    Ok(match outcome {
        Outcome::Stored(places) => places.into_iter().map(|(offset, receivers)| (offset, Some(receivers))).collect(),
        Outcome::Repeated { first, count } => (first..first + count as Offset).map(|offset| (offset, None)).collect(),
        Outcome::KeyReused => return Err(Refusal::KeyReused),
    })
}

fn stored_receipt(hub: &Hub, places: impl Iterator<Item = (Offset, Option<u32>)>) -> Option<Receipt> {
    let together = |(_, sum): (Offset, Option<u32>), (offset, count): (Offset, Option<u32>)| {
        (offset, sum.zip(count).map(|(sum, count)| sum.saturating_add(count)))
    };
    let (offset, receivers) = places.reduce(together)?;
    let durability = match hub.options.durability {
        Durability::Disk => ReceiptDurability::Disk,
        Durability::Os => ReceiptDurability::Os,
    };
    let epoch = hub.log_start.epoch;
    Some(Receipt {
        id: Some(Position::new(epoch, offset).to_string()),
        epoch: epoch.to_string(),
        durability,
        receivers,
    })
}

async fn send_volatile(shard: &LocalShard, from: &Sender, message: &Message) -> Result<Receipt, Refusal> {
    let hub = shard.hub();
    let (id, receivers) = match &message.target {
        Target::Channels(_) => (None, deliver_volatile(shard, message.publications(from)).await?),
        Target::Connection(connection) => send_direct(hub, from, message, *connection).await,
    };
    let epoch = hub.log_start.epoch.to_string();
    Ok(Receipt { id, epoch, durability: ReceiptDurability::Memory, receivers: Some(receivers) })
}

async fn deliver_volatile(shard: &LocalShard, publications: Vec<Publication>) -> Result<u32, Refusal> {
    let at = Hub::wall_clock();
    let entries = publications.into_iter().map(|publication| Arc::new(Entry::volatile(at, publication))).collect();
    let (answer, answered) = oneshot::channel();
    let delivery = Delivery::new(entries, shard.hub().options.workers, move |receivers| {
        // The publisher may have gone away.
        let _ = answer.send(receivers.iter().fold(0_u32, |sum, count| sum.saturating_add(*count)));
    });
    shard.deliver_volatile(&delivery).await;
    answered.await.map_err(|_| Refusal::Stopped)
}

/// A direct message waits in the inbox of the connection's session, wherever that is.
async fn send_direct(hub: &Hub, from: &Sender, message: &Message, connection: ConnectionId) -> (Option<String>, u32) {
    let publication = Arc::new(Publication {
        event: message.event.clone(),
        spread: message.content.spread,
        from: from.clone(),
        ..Publication::new(ChannelName::broadcast(), Arc::clone(&message.content.data))
    });
    let at = Hub::wall_clock();
    let places = hub.call_all(move |shard, _| shard.send_direct(connection, at, Arc::clone(&publication))).await;
    let place = places.into_iter().flatten().next();
    (place.map(|place| place.to_string()), u32::from(place.is_some()))
}

fn fingerprint<'a>(messages: impl Iterator<Item = &'a Message>) -> [u8; 32] {
    let mut digest = Sha256::new();
    for message in messages {
        message.add_to_fingerprint(&mut digest);
    }
    digest.finalize().into()
}
