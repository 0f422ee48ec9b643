//! Reading channels: the list, the history, who is there.
//!
//! Each answer carries the head position of the same moment, so "load, then follow" has no race.

use std::sync::Arc;

use santral_core::limits::{LISTING_ITEMS, LISTING_ITEMS_MAX};
use santral_core::names::{ChannelName, Selector, USER_PREFIX};
use santral_core::position::{Epoch, Position};
use santral_core::shard::Present;
use santral_core::sse;
use santral_schema::channels::{ChannelItem, ChannelList, History, Presence, PresentSession};

use super::streams::check_right_to_follow;
use super::{Refusal, parse_position};
use crate::auth::Principal;
use crate::hub::Hub;
use crate::ports::store::{ChannelSummary, HistoryQuery, LogReader, LogState, StoreError};

/// Which part of a channel's history is wanted.
#[derive(Debug, Clone, Default)]
pub struct HistoryOrder {
    /// Only entries before this position.
    pub before: Option<String>,
    /// Only entries behind this position.
    pub since: Option<String>,
    /// Most entries.
    pub limit: Option<usize>,
}

/// Channels with retained entries whose name starts with `prefix`, behind `cursor`. The channels of
/// users are passed over.
///
/// # Errors
/// [`Refusal`] for a prefix or cursor that no name has, [`Refusal::Forbidden`] where channels below
/// the prefix are not the caller's, and [`Refusal::Store`].
pub async fn list(
    hub: &Arc<Hub>,
    principal: &Principal,
    prefix: String,
    cursor: Option<String>,
    limit: Option<usize>,
) -> Result<ChannelList, Refusal> {
    let limit = page_size(limit);
    if !prefix.is_empty() {
        readable(&prefix)?;
    }
    if !principal.grants.subscribe.cover(&Selector::Prefix(prefix.as_str().into())) {
        return Err(Refusal::Forbidden { right: "list the channels that begin with", what: prefix });
    }
    let after = cursor.map(|name| ChannelName::parse(&name).map_err(|error| Refusal::Channel(name, error)));
    let after = after.transpose()?;
    let read = move |reader: &dyn LogReader| list_readable(reader, &prefix, after, limit);
    let (summaries, state) = read_log(hub, read).await?;
    let names: Vec<ChannelName> = summaries.iter().map(|summary| summary.channel.clone()).collect();
    let followers = count_followers(hub, names).await;
    let epoch = hub.log_start.epoch;
    let cursor = (summaries.len() == limit).then(|| summaries.last().map(|last| last.channel.to_string())).flatten();
    let item = |(summary, sessions): (ChannelSummary, u32)| ChannelItem {
        channel: summary.channel.to_string(),
        last: Position::new(epoch, summary.last).to_string(),
        sessions,
    };
    let channels = summaries.into_iter().zip(followers).map(item).collect();
    Ok(ChannelList { channels, cursor, position: Position::new(epoch, state.head).to_string() })
}

/// A page of channels without those of users: reads on behind them when it meets one.
fn list_readable(
    reader: &dyn LogReader,
    prefix: &str,
    after: Option<ChannelName>,
    limit: usize,
) -> Result<(Vec<ChannelSummary>, LogState), StoreError> {
    // Rooms of other namespaces begin with a `$`, before all that a client may say.
    let after = Some(after.as_ref().map_or("$~", ChannelName::as_str));
    let (mut summaries, state) = reader.channels(prefix, after, limit)?;
    let Some(reserved) = summaries.iter().position(|summary| summary.channel.is_reserved()) else {
        return Ok((summaries, state));
    };
    summaries.truncate(reserved);
    // `~` stands behind every character of a name.
    // The position stays that of the first read: what came since is met again by whoever follows.
    let (behind, _) = reader.channels(prefix, Some(&format!("{USER_PREFIX}~")), limit - reserved)?;
    summaries.extend(behind);
    Ok((summaries, state))
}

/// A part of one channel's history, newest first.
///
/// # Errors
/// [`Refusal`] for a name or position that cannot be, [`Refusal::Forbidden`], and [`Refusal::Store`].
pub async fn history(
    hub: &Arc<Hub>,
    principal: &Principal,
    channel: &str,
    order: HistoryOrder,
) -> Result<History, Refusal> {
    let channel = readable(channel)?;
    check_right_to_follow(principal, &[Selector::Channel(channel.clone())], false)?;
    let epoch = hub.log_start.epoch;
    let offset = |position: Option<String>| {
        position.map(|text| parse_position(&text, epoch).map(|position| position.offset)).transpose()
    };
    let (before, since) = (offset(order.before)?, offset(order.since)?);
    let limit = page_size(order.limit);
    // One more than asked for tells whether there is more.
    let query = HistoryQuery { channel: channel.clone(), before, since, limit: limit + 1 };
    let (mut entries, state) = read_log(hub, move |reader| reader.history(&query)).await?;
    let more = entries.len() > limit;
    entries.truncate(limit);
    Ok(History {
        channel: channel.to_string(),
        entries: entries.iter().map(|entry| sse::envelope(entry)).collect(),
        position: Position::new(epoch, state.head).to_string(),
        more,
        truncated: state.trimmed_to > since.unwrap_or_default(),
    })
}

/// Who follows a channel by name.
///
/// # Errors
/// [`Refusal::Channel`], [`Refusal::Forbidden`].
pub async fn presence(hub: &Arc<Hub>, principal: &Principal, channel: &str) -> Result<Presence, Refusal> {
    let channel = readable(channel)?;
    if !principal.grants.presence.allow(&channel) {
        return Err(Refusal::Forbidden { right: "see the presence of", what: channel.to_string() });
    }
    let asked = channel.clone();
    let answers = hub.call_all(move |shard, _| (shard.present(&asked, LISTING_ITEMS_MAX), shard.head())).await;
    let head = answers.iter().map(|(_, head)| head.offset).min().unwrap_or_default();
    let total = answers.iter().map(|((_, count), _)| count).sum();
    let present = answers.into_iter().flat_map(|((present, _), _)| present).take(LISTING_ITEMS_MAX);
    Ok(Presence {
        channel: channel.to_string(),
        present: present.map(wire_present).collect(),
        total,
        position: position(hub.log_start.epoch, head),
    })
}

fn readable(name: &str) -> Result<ChannelName, Refusal> {
    let channel = ChannelName::parse(name).map_err(|error| Refusal::Channel(name.to_owned(), error))?;
    if channel.is_reserved() {
        return Err(Refusal::Channel(name.to_owned(), santral_core::names::NameError::Reserved));
    }
    Ok(channel)
}

fn wire_present(present: Present) -> PresentSession {
    PresentSession {
        user: present.user.as_deref().map(str::to_owned),
        connection: present.connection.as_str().to_owned(),
    }
}

fn position(epoch: Epoch, offset: u64) -> String {
    Position::new(epoch, offset).to_string()
}

fn page_size(limit: Option<usize>) -> usize {
    limit.unwrap_or(LISTING_ITEMS).clamp(1, LISTING_ITEMS_MAX)
}

/// How many sessions follow each of these channels by name.
pub(super) async fn count_followers(hub: &Hub, names: Vec<ChannelName>) -> Vec<u32> {
    let mut sums = vec![0_u32; names.len()];
    let names = Arc::new(names);
    let counts =
        hub.call_all(move |shard, _| names.iter().map(|name| shard.present(name, 0).1).collect::<Vec<_>>()).await;
    for counts in counts {
        for (sum, count) in sums.iter_mut().zip(counts) {
            *sum = sum.saturating_add(u32::try_from(count).unwrap_or(u32::MAX));
        }
    }
    sums
}

/// Reads the log on a thread that may block.
async fn read_log<T: Send + 'static>(
    hub: &Arc<Hub>,
    read: impl FnOnce(&dyn LogReader) -> Result<T, StoreError> + Send + 'static,
) -> Result<T, Refusal> {
    let reader = Arc::clone(&hub.reader);
    let result = actix_rt::task::spawn_blocking(move || read(&*reader)).await;
    Ok(result.map_err(|_| Refusal::Stopped)??)
}
