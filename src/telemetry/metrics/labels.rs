//! Label values of metrics: closed sets only. A user, a channel or an address is never a label.

use santral_core::call_quality::Candidate;
use santral_schema::call_quality::CallScore;
use santral_schema::events::GapReason;
use santral_schema::reason::DisconnectReason;

/// A label whose values are known beforehand.
pub trait Label: Copy + Send + Sync + 'static {
    /// The label as it is exported.
    const NAME: &'static str;

    /// Every value, each at its [`Label::index`].
    fn all() -> &'static [Self];

    /// Its place in [`Label::all`].
    fn index(self) -> usize;

    /// The value as it is exported.
    fn value(self) -> &'static str;
}

/// The labels of one metric: a [`Label`], or two of them.
pub trait LabelSet: Copy + Send + Sync + 'static {
    /// Every label with its values.
    fn declared() -> Vec<(&'static str, Vec<&'static str>)>;

    /// How many combinations there are.
    fn count() -> usize;

    /// The place of this combination among them.
    fn index(self) -> usize;

    /// The labels and values of the combination at `index`.
    fn pairs(index: usize) -> Vec<(&'static str, &'static str)>;
}

impl<A: Label> LabelSet for A {
    fn declared() -> Vec<(&'static str, Vec<&'static str>)> {
        vec![(A::NAME, A::all().iter().map(|label| label.value()).collect())]
    }

    fn count() -> usize {
        A::all().len()
    }

    fn index(self) -> usize {
        Label::index(self)
    }

    fn pairs(index: usize) -> Vec<(&'static str, &'static str)> {
        vec![(A::NAME, A::all()[index].value())]
    }
}

impl<A: Label, B: Label> LabelSet for (A, B) {
    fn declared() -> Vec<(&'static str, Vec<&'static str>)> {
        [A::declared(), B::declared()].concat()
    }

    fn count() -> usize {
        A::all().len() * B::all().len()
    }

    fn index(self) -> usize {
        Label::index(self.0) * B::all().len() + Label::index(self.1)
    }

    fn pairs(index: usize) -> Vec<(&'static str, &'static str)> {
        let (first, second) = (index / B::all().len(), index % B::all().len());
        [A::pairs(first), B::pairs(second)].concat()
    }
}

macro_rules! labels {
    ($($(#[doc = $doc:literal])+ $label:ident = $name:literal {
        $($(#[doc = $value_doc:literal])+ $variant:ident = $value:literal,)+
    })+) => {
        $(
            $(#[doc = $doc])+
            #[derive(Debug, Clone, Copy, PartialEq, Eq)]
            pub enum $label {
                $($(#[doc = $value_doc])+ $variant,)+
            }

            impl Label for $label {
                const NAME: &'static str = $name;

                fn all() -> &'static [Self] {
                    &[$(Self::$variant,)+]
                }

                fn index(self) -> usize {
                    self as usize
                }

                fn value(self) -> &'static str {
                    match self { $(Self::$variant => $value,)+ }
                }
            }
        )+
    };
}

labels! {
    /// How a client is connected.
    Transport = "transport" {
        /// Server-Sent Events.
        Sse = "sse",
        /// WebSockets.
        WebSocket = "websocket",
        /// Sessions that are polled.
        LongPoll = "poll",
        /// Socket.IO.
        SocketIo = "socketio",
    }

    /// By which door a publish came.
    Door = "door" {
        /// `POST /api/publish` and `POST /api/broadcast`.
        Rest = "rest",
        /// A command of a session.
        Command = "command",
    }

    /// What became of a message that was published.
    Outcome = "outcome" {
        /// It is in the log.
        Stored = "stored",
        /// It was not to be stored.
        Volatile = "volatile",
        /// It was here before, with the same idempotency key.
        Repeated = "repeated",
    }

    /// Why a request was refused, in classes of problem codes.
    RefusalClass = "class" {
        /// The request is wrong: 400, 404, 408, 413, 415, 422.
        Invalid = "invalid",
        /// Whoever asks may not: 401, 403.
        Denied = "denied",
        /// Whoever asks does so too often: 429.
        Limited = "limited",
        /// The server cannot do it now: 503.
        Unavailable = "unavailable",
        /// The server failed: 500.
        Failed = "failed",
    }

    /// Why a client was turned away that asked for a stream.
    ConnectionRefusal = "reason" {
        /// The server is about to stop.
        Draining = "draining",
        /// The server has as many streams as it can hold.
        Full = "full",
        /// The user or the address has as many streams as one may have, or asks too often.
        Limited = "limited",
        /// The user, the address or the connection is blocked, or may not follow what it asks for.
        Denied = "denied",
    }

    /// What a commit failed of.
    StoreFailure = "cause" {
        /// Somebody else holds the database.
        Busy = "busy",
        /// There is no room.
        Full = "full",
        /// The database failed.
        Failed = "failed",
    }

    /// How storage does.
    StorageState = "state" {
        /// The last commit succeeded.
        Ok = "ok",
        /// The last commit met a lock.
        Busy = "busy",
        /// The last commit found no room.
        Full = "full",
        /// The last commit failed.
        Failed = "failed",
    }

    /// What came of a try to deliver a webhook.
    WebhookTry = "outcome" {
        /// The receiver has it.
        Delivered = "delivered",
        /// The receiver could not be reached or did not take it.
        Failed = "failed",
        /// The receiver wants no more of it (410).
        Gone = "gone",
    }

    /// What kind of method a request has.
    MethodClass = "method" {
        /// `GET`, `HEAD`, `OPTIONS`.
        Read = "read",
        /// `POST`, `PUT`, `PATCH`, `DELETE`.
        Write = "write",
        /// Any other.
        Other = "other",
    }

    /// The first digit of an answer's status (RFC 9110, section 15).
    StatusClass = "status" {
        /// Informational.
        Informational = "1xx",
        /// Successful.
        Successful = "2xx",
        /// Redirection.
        Redirection = "3xx",
        /// Client error.
        ClientError = "4xx",
        /// Server error.
        ServerError = "5xx",
    }
}

impl RefusalClass {
    /// The class of an answer that refuses.
    #[must_use]
    pub fn of_status(status: u16) -> Self {
        match status {
            401 | 403 => Self::Denied,
            429 => Self::Limited,
            503 => Self::Unavailable,
            500.. => Self::Failed,
            _ => Self::Invalid,
        }
    }
}

impl StatusClass {
    /// The class of a status.
    #[must_use]
    pub fn of_status(status: u16) -> Self {
        match status {
            ..200 => Self::Informational,
            200..300 => Self::Successful,
            300..400 => Self::Redirection,
            400..500 => Self::ClientError,
            500.. => Self::ServerError,
        }
    }
}

impl Label for DisconnectReason {
    const NAME: &'static str = "reason";

    fn all() -> &'static [Self] {
        &Self::ALL
    }

    fn index(self) -> usize {
        self.index()
    }

    fn value(self) -> &'static str {
        self.name()
    }
}

impl Label for GapReason {
    const NAME: &'static str = "reason";

    fn all() -> &'static [Self] {
        &Self::ALL
    }

    fn index(self) -> usize {
        self.index()
    }

    fn value(self) -> &'static str {
        self.name()
    }
}

impl Label for CallScore {
    const NAME: &'static str = "score";

    fn all() -> &'static [Self] {
        &Self::ALL
    }

    fn index(self) -> usize {
        self.index()
    }

    fn value(self) -> &'static str {
        self.name()
    }
}

impl Label for Candidate {
    const NAME: &'static str = "route";

    fn all() -> &'static [Self] {
        &Self::ALL
    }

    fn index(self) -> usize {
        self.index()
    }

    fn value(self) -> &'static str {
        self.name()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn check<L: Label>() {
        for (index, label) in L::all().iter().enumerate() {
            assert_eq!(Label::index(*label), index, "{}={}", L::NAME, label.value());
        }
        let values: BTreeSet<_> = L::all().iter().map(|label| label.value()).collect();
        assert_eq!(values.len(), L::all().len(), "{}", L::NAME);
    }

    #[test]
    fn each_value_stands_at_its_index_and_is_named_once() {
        check::<Transport>();
        check::<Door>();
        check::<Outcome>();
        check::<RefusalClass>();
        check::<ConnectionRefusal>();
        check::<StoreFailure>();
        check::<StorageState>();
        check::<MethodClass>();
        check::<StatusClass>();
        check::<DisconnectReason>();
        check::<GapReason>();
        check::<CallScore>();
        check::<Candidate>();
    }

    #[test]
    fn each_combination_of_two_labels_has_a_place_of_its_own() {
        let mut places = BTreeSet::new();
        for &method in MethodClass::all() {
            for &status in StatusClass::all() {
                let index = LabelSet::index((method, status));
                assert!(places.insert(index));
                let pairs = <(MethodClass, StatusClass)>::pairs(index);
                assert_eq!(pairs, [("method", method.value()), ("status", status.value())]);
            }
        }
        assert_eq!(places.len(), <(MethodClass, StatusClass)>::count());
        assert_eq!(places.last(), Some(&(places.len() - 1)));
    }

    #[test]
    fn statuses_fall_into_their_classes() {
        assert_eq!(
            [200, 204, 304, 404, 503].map(|status| StatusClass::of_status(status).value()),
            ["2xx", "2xx", "3xx", "4xx", "5xx"]
        );
        assert_eq!(
            [400, 413, 401, 403, 429, 503, 500].map(|status| RefusalClass::of_status(status).value()),
            ["invalid", "invalid", "denied", "denied", "limited", "unavailable", "failed"]
        );
    }
}
