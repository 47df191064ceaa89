-- Keep documents in one of some languages, by languages(candidates), which works offline. The probability is the
-- model's over all its languages. Short texts leave it unsure: at min_probability 0 the likeliest language decides; at
-- 0.5 what is unsure is dropped with the rule 'unsure', and that may be any text of a few words. A text without a
-- letter has no language and is dropped.
-- judges: each alone
-- :keep             VARCHAR  'en'  ISO 639 codes of the languages to keep, separated by commas
-- :min_probability  FLOAT    0     [0, 1]  probability the likeliest language must reach
WITH named AS (
    SELECT corpus, id, language, probability
    FROM languages(candidates)
)
SELECT
    corpus,
    id,
    coalesce(
        list_contains(string_split(replace($keep, ' ', ''), ','), language) AND probability >= $min_probability, false
    ) AS keep,
    CASE
        WHEN language IS NULL THEN 'no letters'
        WHEN NOT list_contains(string_split(replace($keep, ' ', ''), ','), language) THEN 'language ' || language
        WHEN probability < $min_probability THEN 'unsure'
    END AS rule,
    probability AS score,
    CASE WHEN list_contains(string_split(replace($keep, ' ', ''), ','), language) THEN $min_probability END AS threshold
FROM named
