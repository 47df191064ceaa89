-- Keep what Gopher would have kept of the web (Rae et al. 2021, appendix A.1 and table A1): its rules of quality, then
-- of repetition, with its thresholds. They are for English web pages of at least 50 words: a tweet or a review fails the
-- first rule, any other language the stop words; for such texts use the stage 'quality'. The measures are in
-- macros/web_pages.sql and macros/repetition.sql. The first rule that fails, in the order below, is the one reported.
-- judges: each alone
-- :min_words                 INTEGER  50      [0, inf)  words a text must have
-- :max_words                 INTEGER  100000  [0, inf)  words a text may have
-- :min_word_length           FLOAT    3       [0, inf)  characters a word must have in the mean, punctuation included
-- :max_word_length           FLOAT    10      [0, inf)  characters a word may have in the mean, punctuation included
-- :max_symbols               FLOAT    0.1     [0, inf)  hash signs for each word, and ellipses for each word
-- :max_bullets               FLOAT    0.9     [0, 1]  share of lines that begin with a bullet
-- :max_ellipses              FLOAT    0.3     [0, 1]  share of lines that end in an ellipsis
-- :min_lettered              FLOAT    0.8     [0, 1]  share of words with a letter
-- :min_stop_words            INTEGER  2       [0, 8]  how many of: the, be, to, of, and, that, have, with
-- :max_lines                 FLOAT    0.3     [0, 1]  share of lines that came before; so for the others
-- :max_paragraphs            FLOAT    0.3     [0, 1]  share of paragraphs that came before
-- :max_line_characters       FLOAT    0.2     [0, 1]  share of characters in lines that came before
-- :max_paragraph_characters  FLOAT    0.2     [0, 1]  share of characters in paragraphs that came before
-- :max_top_2                 FLOAT    0.2     [0, 1]  share of characters in the most frequent run of 2 words
-- :max_top_3                 FLOAT    0.18    [0, 1]  share of characters in the most frequent run of 3 words
-- :max_top_4                 FLOAT    0.16    [0, 1]  share of characters in the most frequent run of 4 words
-- :max_repeated_5            FLOAT    0.15    [0, 1]  share of characters in runs of 5 words that came before
-- :max_repeated_6            FLOAT    0.14    [0, 1]  share of characters in runs of 6 words that came before
-- :max_repeated_7            FLOAT    0.13    [0, 1]  share of characters in runs of 7 words that came before
-- :max_repeated_8            FLOAT    0.12    [0, 1]  share of characters in runs of 8 words that came before
-- :max_repeated_9            FLOAT    0.11    [0, 1]  share of characters in runs of 9 words that came before
-- :max_repeated_10           FLOAT    0.1     [0, 1]  share of characters in runs of 10 words that came before
WITH parted AS (
    SELECT
        corpus, id, text, word_list(text) AS words, filled_lines(text) AS lines, paragraphs(text) AS parts
    FROM candidates
),
checked AS (
    SELECT
        corpus,
        id,
        first_failure([
            at_least('too few words', len(words), $min_words),
            at_most('too many words', len(words), $max_words),
            at_least('words too short', mean_length(words), $min_word_length),
            at_most('words too long', mean_length(words), $max_word_length),
            at_most('too many hash signs', hash_ratio(text), $max_symbols),
            at_most('too many ellipses', ellipsis_ratio(text), $max_symbols),
            at_most('too many bullets', bulleted_share(lines), $max_bullets),
            at_most('too many lines end in an ellipsis', ellipsis_lines(lines), $max_ellipses),
            at_least('too few words with letters', lettered_share(words), $min_lettered),
            at_least('too few stop words', stop_words(text), $min_stop_words),
            at_most('repeated lines', repeated_share(lines), $max_lines),
            at_most('repeated paragraphs', repeated_share(parts), $max_paragraphs),
            at_most('characters in repeated lines', repeated_characters(lines), $max_line_characters),
            at_most('characters in repeated paragraphs', repeated_characters(parts), $max_paragraph_characters),
            at_most('most frequent run of 2 words', top_run_share(words, 2), $max_top_2),
            at_most('most frequent run of 3 words', top_run_share(words, 3), $max_top_3),
            at_most('most frequent run of 4 words', top_run_share(words, 4), $max_top_4),
            at_most('repeated runs of 5 words', repeated_run_share(words, 5), $max_repeated_5),
            at_most('repeated runs of 6 words', repeated_run_share(words, 6), $max_repeated_6),
            at_most('repeated runs of 7 words', repeated_run_share(words, 7), $max_repeated_7),
            at_most('repeated runs of 8 words', repeated_run_share(words, 8), $max_repeated_8),
            at_most('repeated runs of 9 words', repeated_run_share(words, 9), $max_repeated_9),
            at_most('repeated runs of 10 words', repeated_run_share(words, 10), $max_repeated_10)
        ]) AS failure
    FROM parted
)
SELECT
    corpus,
    id,
    failure IS NULL AS keep,
    failure.rule AS rule,
    failure.score AS score,
    failure.threshold AS threshold
FROM checked
