//! Publishing: the one way in for every edge.

use std::sync::Arc;

use sha2::{Digest, Sha256};
use tokio::sync::oneshot;

use santral_core::entry::{Entry, Publication, Sender};
use santral_core::json;
use santral_core::limits::{BATCH_ITEMS_MAX, IDEMPOTENCY_KEY_BYTES_MAX, JSON_DEPTH_MAX};
use santral_core::names::{BROADCAST, ChannelName, ConnectionId, EventName};
use santral_core::position::{Offset, Position};
use santral_schema::access::Role;
use santral_schema::publish::{PublishItem, Receipt, ReceiptDurability};

use super::Refusal;
use crate::auth::Principal;
use crate::hub::Hub;
use crate::hub::delivery::Delivery;
use crate::hub::shard_thread::LocalShard;
use crate::hub::writer::Outcome;
use crate::ports::store::{Append, Durability, IdempotencyKey};
use crate::telemetry::metrics::labels::{Door, Outcome as Fate};

/// Where a message goes.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Target {
    Channels(Vec<ChannelName>),
    Connection(ConnectionId),
}

/// A message that was checked.
#[derive(Debug, Clone)]
pub struct Message {
    target: Target,
    event: Option<EventName>,
    data: Arc<str>,
    except: Option<ConnectionId>,
    volatile: bool,
    key: Option<Arc<str>>,
}

impl Message {
    /// Checks an item of a publish.
    ///
    /// # Errors
    /// [`Refusal`] says what is wrong with it.
    pub fn parse(item: PublishItem, bytes_max: usize) -> Result<Self, Refusal> {
        let target = parse_target(&item)?;
        let event = item.event.map(|name| EventName::parse(&name).map_err(|error| Refusal::Event(name, error)));
        let except = item.except.map(|id| ConnectionId::parse(&id).map_err(|error| Refusal::Connection(id, error)));
        let key = item.key.map(|key| parse_key(&key)).transpose()?;
        let volatile = item.volatile || matches!(target, Target::Connection(_));
        if volatile && key.is_some() {
            return Err(Refusal::IdempotencyKey("an idempotency key goes only with a message that is stored"));
        }
        let data = check_data(item.data.get(), bytes_max)?;
        Ok(Self { target, event: event.transpose()?, data, except: except.transpose()?, volatile, key })
    }

    fn publications(&self, from: &Sender) -> Vec<Publication> {
        let channels = match &self.target {
            Target::Channels(channels) => channels.as_slice(),
            Target::Connection(_) => &[],
        };
        let publication = |channel: &ChannelName| Publication {
            channel: channel.clone(),
            event: self.event.clone(),
            data: Arc::clone(&self.data),
            from: from.clone(),
            except: self.except,
        };
        channels.iter().map(publication).collect()
    }

    fn add_to_fingerprint(&self, digest: &mut Sha256) {
        let channels = match &self.target {
            Target::Channels(channels) => channels.as_slice(),
            Target::Connection(_) => &[],
        };
        let event = self.event.as_ref().map_or("", EventName::as_str);
        let except = self.except.as_ref().map_or("", ConnectionId::as_str);
        // Lengths in front keep the fields apart: `ab` + `c` is not `a` + `bc`.
        let fields = channels.iter().map(ChannelName::as_str).chain([event, except, &self.data]);
        digest.update(channels.len().to_le_bytes());
        for field in fields {
            digest.update(field.len().to_le_bytes());
            digest.update(field);
        }
    }
}

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
    Ok(receipts)
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
        bytes += message.data.len() as u64;
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
fn check_right_to_publish(principal: &Principal, target: &Target) -> Result<(), Refusal> {
    let is_server = matches!(principal.role, Role::Publisher | Role::Admin);
    let forbidden = |what: &str| Err(Refusal::Forbidden { right: "publish to", what: what.to_owned() });
    match target {
        Target::Channels(channels) => {
            let is_granted = |channel: &ChannelName| match channel.is_reserved() {
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
            let count = messages[index].publications(from).len();
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
        channel: ChannelName::broadcast(),
        event: message.event.clone(),
        data: Arc::clone(&message.data),
        from: from.clone(),
        except: None,
    });
    let at = Hub::wall_clock();
    let places = hub.call_all(move |shard, _| shard.send_direct(connection, at, Arc::clone(&publication))).await;
    let place = places.into_iter().flatten().next();
    (place.map(|place| place.to_string()), u32::from(place.is_some()))
}

fn parse_target(item: &PublishItem) -> Result<Target, Refusal> {
    let channel = |name: &String| {
        let parsed = ChannelName::parse(name).map_err(|error| Refusal::Channel(name.clone(), error))?;
        if parsed.is_reserved() {
            return Err(Refusal::Channel(name.clone(), santral_core::names::NameError::Reserved));
        }
        Ok(parsed)
    };
    match (&item.channel, &item.channels, &item.user, &item.connection) {
        (Some(name), None, None, None) => Ok(Target::Channels(vec![channel(name)?])),
        (None, Some(names), None, None) if names.is_empty() => Err(Refusal::Target("`channels` is empty")),
        (None, Some(names), None, None) if names.len() > BATCH_ITEMS_MAX => Err(Refusal::Batch(names.len())),
        (None, Some(names), None, None) => Ok(Target::Channels(names.iter().map(channel).collect::<Result<_, _>>()?)),
        (None, None, Some(user), None) => {
            let own = ChannelName::of_user(user).map_err(|error| Refusal::User(user.clone(), error))?;
            Ok(Target::Channels(vec![own]))
        }
        (None, None, None, Some(id)) => {
            let id = ConnectionId::parse(id).map_err(|error| Refusal::Connection(id.clone(), error))?;
            Ok(Target::Connection(id))
        }
        (None, None, None, None) => Err(Refusal::Target("the message names no target")),
        (_, _, _, _) => Err(Refusal::Target("the message names more than one target")),
    }
}

/// The name of the channel that everyone follows, as an item names it.
#[must_use]
pub fn to_everyone() -> String {
    BROADCAST.to_owned()
}

fn check_data(text: &str, bytes_max: usize) -> Result<Arc<str>, Refusal> {
    if text.len() > bytes_max {
        return Err(Refusal::TooLarge { bytes: text.len(), bytes_max });
    }
    if json::nests_deeper_than(text, JSON_DEPTH_MAX) {
        return Err(Refusal::TooDeep);
    }
    Ok(text.into())
}

fn parse_key(key: &str) -> Result<Arc<str>, Refusal> {
    if key.is_empty() || key.len() > IDEMPOTENCY_KEY_BYTES_MAX {
        return Err(Refusal::IdempotencyKey("an idempotency key has 1 to 255 characters"));
    }
    if !key.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(Refusal::IdempotencyKey("an idempotency key has visible ASCII characters only"));
    }
    Ok(key.into())
}

fn fingerprint<'a>(messages: impl Iterator<Item = &'a Message>) -> [u8; 32] {
    let mut digest = Sha256::new();
    for message in messages {
        message.add_to_fingerprint(&mut digest);
    }
    digest.finalize().into()
}
