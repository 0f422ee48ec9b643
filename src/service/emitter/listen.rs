//! Hears `@socket.io/postgres-emitter` and does what it says, in its order.
//!
//! A thread of its own asks the database, since that blocks; a task on the thread of one shard does the
//! rest. Whoever may connect to the database may speak here: notifications ask for no right of their
//! own, so the operator says by a setting whether they are heard at all.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::mpsc;

use santral_core::grants::Grants;
use santral_core::limits::{EMITTER_ORDERS_MAX, EMITTER_POLL_INTERVAL};
use santral_core::namespace::Namespace;
use santral_schema::access::Role;

use super::postgres::{self, NoDocument, Notice};
use super::{Order, carry_out};
use crate::auth::Principal;
use crate::hub::Hub;
use crate::hub::shard_thread::LocalShard;
use crate::ports::notices::{NoticeBoard, Notification};
use crate::service::operator::Operator;

/// The prefix of the channels, unless the emitter was told otherwise.
const PREFIX: &str = "socket.io#";

/// A pause after the database could not be asked.
const TROUBLE_PAUSE: Duration = Duration::from_secs(1);

/// The channels of the database by which these namespaces are spoken to.
#[must_use]
pub fn channels(namespaces: &[Namespace]) -> Vec<String> {
    namespaces.iter().map(|namespace| format!("{PREFIX}{namespace}")).collect()
}

/// A listener; dropping it ends it.
pub struct Listener(Arc<AtomicBool>);

impl Drop for Listener {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

/// Listens until the listener is dropped. Nobody waits for the thread: the database may hang.
///
/// # Errors
/// When the operating system has no thread.
pub async fn start(board: Box<dyn NoticeBoard>, hub: &Arc<Hub>, operator: Arc<Operator>) -> std::io::Result<Listener> {
    let (orders, taken) = mpsc::channel(EMITTER_ORDERS_MAX);
    let is_over = Arc::new(AtomicBool::new(false));
    let listener = Listener(Arc::clone(&is_over));
    hub.call_local(0, move |shard| {
        let shard = shard.clone();
        actix_rt::spawn(async move { obey(&shard, &operator, taken).await });
    })
    .await;
    std::thread::Builder::new().name("emitter".to_owned()).spawn(move || hear(board, &is_over, &orders))?;
    Ok(listener)
}

async fn obey(shard: &LocalShard, operator: &Operator, mut orders: mpsc::Receiver<Order>) {
    let database = Principal { role: Role::Admin, name: "database".into(), ..Principal::anonymous(Grants::all()) };
    while let Some(order) = orders.recv().await {
        if let Err(refusal) = carry_out(shard, operator, &database, order).await {
            log::warn!("what a Socket.IO emitter said through the database was not done: {refusal}");
        }
    }
}

fn hear(mut board: Box<dyn NoticeBoard>, is_over: &AtomicBool, orders: &mpsc::Sender<Order>) {
    while !is_over.load(Ordering::Acquire) {
        let said = board.take();
        let pause = if said.is_ok() { EMITTER_POLL_INTERVAL } else { TROUBLE_PAUSE };
        let said = said.unwrap_or_default();
        let is_quiet = said.is_empty();
        for notification in said {
            if let Some(order) = understand(&mut *board, &notification)
                && orders.blocking_send(order).is_err()
            {
                return;
            }
        }
        if is_quiet {
            std::thread::sleep(pause);
        }
    }
}

fn understand(board: &mut dyn NoticeBoard, notification: &Notification) -> Option<Order> {
    let namespace = Namespace::parse(notification.channel.strip_prefix(PREFIX)?).ok()?;
    let read = |board: &mut dyn NoticeBoard| -> Result<Notice, NoDocument> {
        match postgres::read(&namespace, &notification.payload)? {
            Notice::Attachment(id) => match board.attachment(id) {
                Ok(Some(payload)) => postgres::read_attachment(&namespace, &payload),
                Ok(None) | Err(_) => Err(NoDocument::gone(id)),
            },
            notice @ (Notice::Order(_) | Notice::Other) => Ok(notice),
        }
    };
    match read(board) {
        Ok(Notice::Order(order)) => Some(*order),
        Ok(Notice::Other | Notice::Attachment(_)) => None,
        Err(error) => {
            log::warn!("a notification on {} is passed over: {error}", notification.channel);
            None
        }
    }
}
