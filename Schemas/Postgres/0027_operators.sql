-- What operators can take back: an import of which nobody was called, and the pause of all campaigns at once.
-- Forward-only. Runs inside one transaction. What a program of the version before imports cannot be undone, and what it
-- pauses is not resumed with all.

-- Which import has brought a contact. No index: an undo reads the campaign's contacts.
alter table contacts add column import_id uuid;

alter table contact_imports add column undone_at timestamptz, add column undone_by text;

-- Since when a campaign is paused because all were; null once its state is changed by itself.
alter table campaigns add column paused_with_all_at timestamptz;
