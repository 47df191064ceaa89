-- Keep one document of each text: the same in lower case, without punctuation and with single spaces. Documents
-- without text are kept. A source that loses over 30 % gives a warning.
-- :priority  VARCHAR  NULL  sources to keep documents of first, separated by commas; the others follow by name
SELECT
    corpus,
    id,
    leader_id IS NULL AS keep,
    CASE WHEN leader_id IS NOT NULL THEN 'same text' END AS rule,
    leader_corpus AS partner_corpus,
    leader_id AS partner_id
FROM exact_duplicates('candidates', priority := $priority)
