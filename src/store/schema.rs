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
        options -> Nullable<Text>,
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

diesel::table! {
    users (id) {
        id -> Text,
        name -> Text,
        password_hash -> Nullable<Text>,
        role -> Text,
        token_version -> BigInt,
        disabled_at -> Nullable<BigInt>,
        created_at -> BigInt,
        updated_at -> BigInt,
    }
}

diesel::table! {
    logins (id) {
        id -> Text,
        user_id -> Text,
        generation -> BigInt,
        created_at -> BigInt,
        refreshed_at -> BigInt,
        expires_at -> BigInt,
        revoked_at -> Nullable<BigInt>,
    }
}

diesel::table! {
    api_keys (id) {
        id -> Text,
        name -> Text,
        secret_hash -> Binary,
        role -> Text,
        grants_json -> Text,
        created_by -> Nullable<Text>,
        created_at -> BigInt,
        expires_at -> Nullable<BigInt>,
        revoked_at -> Nullable<BigInt>,
    }
}

diesel::table! {
    blocks (subject) {
        subject -> Text,
        reason -> Nullable<Text>,
        created_by -> Nullable<Text>,
        created_at -> BigInt,
        expires_at -> BigInt,
    }
}

diesel::table! {
    event_logs (id) {
        id -> BigInt,
        created_at -> BigInt,
        level -> Text,
        #[sql_name = "type"]
        kind -> Text,
        actor -> Nullable<Text>,
        message -> Text,
        details_json -> Nullable<Text>,
        request_id -> Nullable<Text>,
    }
}

diesel::table! {
    server_settings (key) {
        key -> Text,
        value_json -> Text,
        description -> Nullable<Text>,
        updated_by -> Nullable<Text>,
        updated_at -> BigInt,
    }
}

diesel::table! {
    settings_history (id) {
        id -> BigInt,
        key -> Text,
        old_value_json -> Nullable<Text>,
        new_value_json -> Nullable<Text>,
        description -> Nullable<Text>,
        changed_by -> Nullable<Text>,
        changed_at -> BigInt,
    }
}

diesel::table! {
    connections (id) {
        id -> Text,
        node -> Text,
        user_id -> Nullable<Text>,
        transport -> Text,
        remote_address -> Nullable<Text>,
        user_agent -> Nullable<Text>,
        connected_at -> BigInt,
        disconnected_at -> Nullable<BigInt>,
        disconnect_code -> Nullable<Integer>,
    }
}

diesel::table! {
    video_rooms (id) {
        id -> Text,
        name -> Text,
        host_id -> Nullable<Text>,
        max_participants -> Integer,
        password_hash -> Nullable<Text>,
        visibility -> Text,
        lobby -> Text,
        topology -> Text,
        host_policy -> Text,
        status -> Text,
        settings_json -> Text,
        epoch -> Text,
        created_at -> BigInt,
        started_at -> Nullable<BigInt>,
        closed_at -> Nullable<BigInt>,
        close_reason -> Nullable<Text>,
        expires_at -> Nullable<BigInt>,
        owner -> Nullable<Text>,
        host_token_hash -> Nullable<Binary>,
        metadata_json -> Nullable<Text>,
    }
}

diesel::table! {
    video_participants (id) {
        id -> Text,
        room_id -> Text,
        user_id -> Nullable<Text>,
        display_name -> Text,
        role -> Text,
        ordinal -> Integer,
        state -> Text,
        joined_at -> BigInt,
        left_at -> Nullable<BigInt>,
        left_reason -> Nullable<Text>,
        media_json -> Text,
        metadata_json -> Text,
        token_hash -> Nullable<Binary>,
        quality_json -> Nullable<Text>,
        principal -> Nullable<Text>,
        is_host -> Integer,
    }
}

diesel::table! {
    video_bans (room_id, subject) {
        room_id -> Text,
        subject -> Text,
        created_by -> Nullable<Text>,
        created_at -> BigInt,
    }
}

diesel::table! {
    webhook_outbox (id) {
        id -> BigInt,
        event_id -> Text,
        url -> Text,
        subject -> Text,
        #[sql_name = "type"]
        kind -> Text,
        body_json -> Text,
        created_at -> BigInt,
        attempts -> Integer,
        next_attempt_at -> BigInt,
        last_error -> Nullable<Text>,
    }
}
