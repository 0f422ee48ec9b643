-- What few messages need besides the other columns. Same column as the PostgreSQL migration of this number.

-- A JSON object, see src/store/options.rs; NULL for a message that needs none of it. A server of the
-- release before passes it over.
ALTER TABLE messages ADD COLUMN options TEXT;
