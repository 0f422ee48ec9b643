//! The contract of `ports::store`: the same cases against SQLite and a private PostgreSQL.

mod appending;
mod place;
mod reading;
mod retention;
mod trouble;

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
}
