//! The tables as Diesel sees them: what both migrations of a number create.
//!
//! Only what this crate queries stands here. Times are microseconds since the Unix epoch, UTC.

diesel::table! {
    log_state (id) {
        id -> Integer,
        epoch -> Text,
        head -> BigInt,
        trimmed_to -> BigInt,
        unsynced_boot -> Nullable<Text>,
    }
}

diesel::table! {
    messages (offset) {
        offset -> BigInt,
        channel -> Text,
        event -> Nullable<Text>,
        data -> Text,
        sender_user -> Nullable<Text>,
        sender_connection -> Nullable<Text>,
        except_connection -> Nullable<Text>,
        created_at -> BigInt,
    }
}

diesel::table! {
    idempotency_keys (key, principal) {
        principal -> Text,
        key -> Text,
        fingerprint -> Binary,
        first_offset -> BigInt,
        count -> BigInt,
        created_at -> BigInt,
    }
}
