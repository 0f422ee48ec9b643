//! What of webhooks is started once there is a hub, and how it stops.

use std::sync::Arc;
use std::time::Duration;

use crate::config::Config;
use crate::hub::Hub;
use crate::service::operator::Recorder;
use crate::service::webhooks::sender::{Sender, SenderParts, Signing};
use crate::service::webhooks::{Webhooks, occupancy};
use crate::store::Records;

use super::ServeError;

/// How long the end of the server waits for tries that are under way: as long as one may take.
const SENDING_DEADLINE: Duration = Duration::from_secs(5);

/// Starts to send.
///
/// # Errors
/// [`ServeError`]: the secret cannot be used, or the system has no thread to give.
pub fn start_sender(
    config: &Config,
    records: &Records,
    webhooks: &Arc<Webhooks>,
    hub: &Hub,
    recorder: Recorder,
) -> Result<Sender, ServeError> {
    let parts = SenderParts {
        outbox: records.webhooks(),
        webhooks: Arc::clone(webhooks),
        signing: Signing::open(config).map_err(ServeError::WebhookSecret)?,
        may_go_private: config.webhook_allow_private,
        metrics: Arc::clone(&hub.metrics),
        recorder,
    };
    Ok(Sender::start(parts)?)
}

/// Watches which channels are occupied, until the task is aborted.
#[must_use]
pub fn watch_channels(hub: &Arc<Hub>, webhooks: &Arc<Webhooks>) -> actix_rt::task::JoinHandle<()> {
    actix_rt::spawn(occupancy::run(Arc::clone(hub), Arc::clone(webhooks)))
}

/// Waits for what is under way.
pub fn finish_sender(sender: Sender) {
    sender.stop();
    if !sender.join(SENDING_DEADLINE) {
        log::warn!("webhooks that are under way will be sent again at the next start");
    }
}
