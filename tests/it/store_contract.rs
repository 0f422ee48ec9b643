//! The contract of the ports of the store: the same cases against SQLite and a private PostgreSQL.

mod accounts;
mod appending;
mod connections;
mod events;
mod place;
mod reading;
mod records;
mod retention;
mod settings;
mod trouble;
mod webhooks;

/// Makes a test of each case for each database.
macro_rules! on_both {
    ($($file:ident :: $case:ident,)+) => {
        mod sqlite {
            $(
                #[test]
                fn $case() {
                    super::$file::$case(&super::place::Place::sqlite());
                }
            )+
        }

        mod postgres {
            $(
                #[test]
                fn $case() {
                    if let Some(place) = super::place::Place::postgres() {
                        super::$file::$case(&place);
                    }
                }
            )+
        }
    };
}

on_both! {
    appending::offsets_are_consecutive_over_batches_and_restarts,
    appending::what_was_published_is_read_back_byte_for_byte,
    appending::copies_of_a_message_know_each_other_again,
    appending::an_append_that_fails_leaves_nothing_behind,
    appending::a_repeated_key_stores_nothing,
    appending::a_key_counts_for_24_hours,
    appending::two_writers_commit_in_offset_order,
    appending::of_two_writers_with_the_same_key_one_stores,
    appending::the_epoch_is_stable_and_every_log_has_its_own,
    appending::entries_that_may_be_lost_end_the_epoch,
    appending::a_cleared_state_starts_a_fresh_epoch_behind_the_last_entry,
    reading::pages_hold_what_a_naive_reader_finds,
    reading::a_page_ends_at_its_limits,
    reading::a_page_goes_no_further_than_the_head,
    reading::a_thousand_selectors_are_served,
    reading::history_is_read_backwards,
    reading::channels_are_listed_in_byte_order,
    reading::rows_that_are_no_entries_are_skipped,
    retention::the_oldest_entries_go_in_slices,
    retention::old_entries_go_and_young_ones_stay,
    retention::a_clock_that_jumps_deletes_nothing,
    retention::an_entry_from_the_future_holds_up_nothing,
    retention::expired_keys_are_deleted,
    retention::offsets_are_not_used_again_after_everything_was_deleted,
    trouble::a_log_that_was_replaced_fails_until_it_is_back,
    trouble::acknowledged_entries_that_vanish_end_the_epoch,
    trouble::a_lock_held_by_somebody_else_is_busy,
    accounts::an_account_is_found_by_name_and_id_as_it_was_stored,
    accounts::hostile_names_are_names_like_any_other,
    accounts::accounts_are_listed_by_name_and_rows_that_are_none_are_skipped,
    accounts::a_change_of_an_account_ends_its_tokens,
    accounts::the_last_admin_stays,
    accounts::of_two_admins_who_demote_each_other_at_once_one_stays,
    accounts::a_refresh_moves_to_the_next_generation_and_an_older_token_ends_the_login,
    accounts::a_login_ends_at_its_time_by_hand_and_with_its_account,
    accounts::of_two_refreshes_with_the_same_token_one_wins,
    accounts::logins_are_bounded_and_long_ended_ones_are_forgotten,
    accounts::api_keys_are_kept_until_they_are_revoked,
    accounts::rows_that_are_no_api_keys_are_skipped,
    accounts::live_api_keys_are_bounded,
    accounts::a_block_lasts_until_it_expires_or_is_removed,
    connections::starts_and_ends_are_recorded_in_one_batch_or_in_two,
    connections::hostile_user_agents_are_text,
    connections::what_a_crashed_run_left_open_is_closed,
    connections::old_connections_go_in_slices_and_open_ones_stay,
    webhooks::deliveries_wait_in_lines_by_address_and_subject,
    webhooks::a_line_waits_for_its_first,
    webhooks::a_long_line_hides_no_other,
    webhooks::a_clock_that_was_set_back_holds_up_no_line,
    webhooks::what_goes_nowhere_any_more_is_deleted_when_it_is_old,
    webhooks::hostile_subjects_are_subjects_like_any_other,
    webhooks::of_several_servers_one_sends_at_a_time,
    events::events_are_read_back_as_they_were_stored_newest_first,
    events::filters_find_what_a_naive_reader_finds,
    events::events_are_paged_by_id_though_the_clock_went_back,
    events::hostile_texts_are_stored_and_searched_as_text,
    events::rows_that_are_no_events_are_skipped,
    events::ids_have_the_order_of_commits,
    events::clearing_leaves_a_trace_and_no_id_is_used_again,
    events::old_and_excess_events_go_in_slices,
    records::a_lock_held_by_somebody_else_makes_records_busy,
    records::records_and_the_log_are_written_at_the_same_time,
    records::a_command_opens_records_beside_a_running_server,
    settings::a_setting_is_set_changed_and_removed_and_the_history_tells,
    settings::hostile_texts_in_settings_are_texts,
    settings::rows_that_are_no_settings_are_skipped,
    settings::changes_of_one_setting_from_two_sides_form_one_chain,
}
