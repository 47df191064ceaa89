-- Keep what FineWeb's own three filters keep (Penedo et al. 2024, section 3.6), which follow Gopher's and C4's there.
-- Made for web pages, where menus and lists show in short lines without end punctuation: a short text of one line fails
-- for want of a period, or for under 30 characters. The first rule that fails, in the order below, is the one reported.
-- judges: each alone
-- :min_sentence_lines   FLOAT    0.12  [-1, 1]  share of lines that end as sentences do: it must be above this
-- :max_line_characters  FLOAT    0.1   [0, inf)  share of characters in lines that came before: it must be below this
-- :short                INTEGER  30    [0, inf)  characters below which a line is short
-- :max_short_lines      FLOAT    0.67  [0, inf)  share of short lines: it must be below this
WITH parted AS (
    SELECT corpus, id, filled_lines(text) AS lines
    FROM candidates
),
measured AS (
    SELECT
        corpus,
        id,
        coalesce(sentence_lines(lines), 0) AS sentences,
        repeated_characters(lines) AS repeated,
        short_lines(lines, $short) AS short
    FROM parted
),
checked AS (
    SELECT
        corpus,
        id,
        first_failure([
            {
                'rule': 'too few lines end as sentences', 'score': sentences::DOUBLE,
                'threshold': $min_sentence_lines::DOUBLE, 'fails': sentences <= $min_sentence_lines
            },
            {
                'rule': 'characters in repeated lines', 'score': repeated, 'threshold': $max_line_characters,
                'fails': repeated >= $max_line_characters
            },
            {
                'rule': 'too many short lines', 'score': short, 'threshold': $max_short_lines,
                'fails': short >= $max_short_lines
            }
        ]) AS failure
    FROM measured
)
SELECT
    corpus,
    id,
    failure IS NULL AS keep,
    failure.rule AS rule,
    failure.score AS score,
    failure.threshold AS threshold
FROM checked
