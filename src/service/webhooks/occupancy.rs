//! Channels that were occupied or vacated, as events.
//!
//! A channel that somebody begins or ceases to follow is looked at when it was left alone for a while, so that a
//! page which is reloaded is no news; one that is never left alone is looked at all the same, but only a quiet
//! one counts as vacated. What was told is kept in memory only: a server that starts anew begins anew.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Instant;

use tokio::time::{MissedTickBehavior, interval};

use santral_core::limits::{
    OCCUPANCY_CHANNELS_MAX, OCCUPANCY_INTERVAL, OCCUPANCY_LOOKS_MAX, OCCUPANCY_QUIET, OCCUPANCY_WAIT_MAX,
};
use santral_core::names::ChannelName;
use santral_schema::webhooks::{ChannelWebhook, WebhookType};

use super::{Event, Webhooks};
use crate::hub::Hub;
use crate::service::channels::count_followers;

/// Looks every [`OCCUPANCY_INTERVAL`], while somebody wants to be told. Never ends by itself: whoever started it
/// ends it. Cancel-safe.
pub async fn run(hub: Arc<Hub>, webhooks: Arc<Webhooks>) {
    let mut watch = None;
    let mut ticks = interval(OCCUPANCY_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let is_wanted = webhooks.wants(WebhookType::ChannelOccupied) || webhooks.wants(WebhookType::ChannelVacated);
        if is_wanted != watch.is_some() {
            hub.occupancy.watch(is_wanted);
            watch = is_wanted.then(Watch::default);
        }
        if let Some(watch) = &mut watch {
            for (channel, is_occupied) in watch.look(&hub).await {
                tell(&webhooks, &channel, is_occupied);
            }
        }
    }
}

fn tell(webhooks: &Webhooks, channel: &ChannelName, is_occupied: bool) {
    let kind = if is_occupied { WebhookType::ChannelOccupied } else { WebhookType::ChannelVacated };
    if webhooks.wants(kind) {
        let data = ChannelWebhook { channel: channel.to_string() };
        webhooks.tell(Event::new(kind, format!("channel:{channel}"), Hub::wall_clock(), &data));
    }
}

/// When a channel was touched.
#[derive(Debug, Clone, Copy)]
struct Touch {
    first: Instant,
    last: Instant,
}

/// What is known of channels.
#[derive(Debug, Default)]
struct Watch {
    touches: HashMap<ChannelName, Touch>,
    /// Channels that were told to be occupied.
    occupied: HashSet<ChannelName>,
    /// Whether all channels of the shards were looked at, and none was missed since.
    is_complete: bool,
}

impl Watch {
    /// What has changed: each channel with whether it is occupied now.
    async fn look(&mut self, hub: &Arc<Hub>) -> Vec<(ChannelName, bool)> {
        let touched = hub.occupancy.take();
        let now = Instant::now();
        self.is_complete &= !touched.is_incomplete;
        self.touch(touched.channels, now);
        if !self.is_complete {
            self.look_at_all(hub, now).await;
        }
        let due = self.due(now);
        let names: Vec<_> = due.iter().map(|(channel, _)| channel.clone()).collect();
        let counts = count_followers(hub, names).await;
        let looks = due.into_iter().zip(counts);
        looks.filter_map(|((channel, is_quiet), count)| self.judge(channel, count > 0, is_quiet)).collect()
    }

    /// Every channel that is followed, or was told to be, counts as touched.
    async fn look_at_all(&mut self, hub: &Arc<Hub>, now: Instant) {
        let followed = hub.call_all(|shard, _| shard.followed_channels(OCCUPANCY_CHANNELS_MAX)).await;
        let known: Vec<_> = self.occupied.iter().cloned().collect();
        self.touch(followed.into_iter().flatten().chain(known), now);
        self.is_complete = true;
    }

    fn touch(&mut self, channels: impl IntoIterator<Item = ChannelName>, now: Instant) {
        for channel in channels {
            if let Some(touch) = self.touches.get_mut(&channel) {
                touch.last = now;
            } else if self.touches.len() < OCCUPANCY_CHANNELS_MAX {
                self.touches.insert(channel, Touch { first: now, last: now });
            } else {
                // There is room when some were looked at.
                self.is_complete = false;
            }
        }
    }

    /// Channels to look at now, each with whether it was left alone.
    fn due(&mut self, now: Instant) -> Vec<(ChannelName, bool)> {
        let state = |touch: &Touch| {
            let is_quiet = now.duration_since(touch.last) >= OCCUPANCY_QUIET;
            (is_quiet || now.duration_since(touch.first) >= OCCUPANCY_WAIT_MAX).then_some(is_quiet)
        };
        let due = self.touches.iter().filter_map(|(channel, touch)| Some((channel.clone(), state(touch)?)));
        let due: Vec<_> = due.take(OCCUPANCY_LOOKS_MAX).collect();
        for (channel, is_quiet) in &due {
            match is_quiet {
                true => _ = self.touches.remove(channel),
                false => {
                    self.touches.entry(channel.clone()).and_modify(|touch| touch.first = now);
                }
            }
        }
        due
    }

    /// The channel and whether it is occupied, if that is news.
    fn judge(&mut self, channel: ChannelName, is_occupied: bool, is_quiet: bool) -> Option<(ChannelName, bool)> {
        match (is_occupied, self.occupied.contains(&channel)) {
            (true, false) if self.occupied.len() < OCCUPANCY_CHANNELS_MAX => {
                self.occupied.insert(channel.clone());
                Some((channel, true))
            }
            (false, true) if is_quiet => {
                self.occupied.remove(&channel);
                Some((channel, false))
            }
            (true | false, _) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn channel(name: &str) -> ChannelName {
        ChannelName::parse(name).expect("a name")
    }

    fn names(due: Vec<(ChannelName, bool)>) -> Vec<(String, bool)> {
        let mut names: Vec<_> = due.into_iter().map(|(channel, is_quiet)| (channel.to_string(), is_quiet)).collect();
        names.sort();
        names
    }

    #[test]
    fn a_channel_is_looked_at_when_it_was_left_alone() {
        let (mut watch, start) = (Watch::default(), Instant::now());
        let after = |millis: u64| start + Duration::from_millis(millis);
        watch.touch([channel("a"), channel("b")], start);
        watch.touch([channel("b")], after(1_500));
        assert_eq!(names(watch.due(after(1_999))), []);
        assert_eq!(names(watch.due(after(2_000))), [("a".to_owned(), true)]);
        assert_eq!(names(watch.due(after(3_500))), [("b".to_owned(), true)]);
        assert_eq!(names(watch.due(after(60_000))), []);
    }

    #[test]
    fn a_channel_that_is_never_left_alone_is_looked_at_all_the_same() {
        let (mut watch, start) = (Watch::default(), Instant::now());
        let mut looks = Vec::new();
        for second in 0..=25_u64 {
            let now = start + Duration::from_secs(second);
            watch.touch([channel("a")], now);
            looks.extend(watch.due(now).into_iter().map(|(_, is_quiet)| (second, is_quiet)));
        }
        assert_eq!(looks, [(10, false), (20, false)]);
    }

    #[test]
    fn only_a_change_is_news_and_only_a_quiet_channel_is_vacated() {
        let mut watch = Watch::default();
        let a = || channel("a");
        assert_eq!(watch.judge(a(), false, true), None, "nobody was told that it is occupied");
        assert_eq!(watch.judge(a(), true, false), Some((a(), true)));
        assert_eq!(watch.judge(a(), true, true), None);
        assert_eq!(watch.judge(a(), false, false), None, "somebody may be back in a moment");
        assert_eq!(watch.judge(a(), false, true), Some((a(), false)));
        assert_eq!(watch.judge(a(), false, true), None);
    }
}
