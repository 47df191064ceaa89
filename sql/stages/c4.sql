-- Keep the pages of which C4's line rules (Raffel et al. 2020, section 2.2) leave enough. C4 takes lines out of a page:
-- those that do not end as sentences do, have under five words, or say 'javascript' or a notice of cookies or terms; and
-- drops the page if under three sentences are left. A stage gives verdicts and changes no text, so the kept document
-- still has those lines. Made for web pages: a title, a query or a short review has no three sentences and is dropped.
-- C4's language rule is the stage 'language'; its list of bad words is not ours to ship (:bad_words takes one); that no
-- three sentences come twice in a corpus is no rule for one document. The first rule that fails is reported.
-- judges: each alone
-- :max_lorem_ipsum  INTEGER  0   [0, inf)  how often 'lorem ipsum' may come
-- :max_brackets     INTEGER  0   [0, inf)  how many { a text may have
-- :bad_words        VARCHAR  ''  regular expression for lower case text that may not match; '' for none
-- :min_line_words   INTEGER  5   [0, inf)  words a line must have to be left
-- :notices          VARCHAR  'javascript|terms of use|privacy policy|cookie policy|uses cookies|use of cookies|use cookies'  regular expression for lower case lines that are not left
-- :min_sentences    INTEGER  3   [0, inf)  sentences that must be left
WITH measured AS (
    SELECT
        corpus,
        id,
        len(regexp_extract_all(lower(text), 'lorem ipsum')) AS lorem_ipsum,
        len(regexp_extract_all(text, '\{')) AS brackets,
        CASE WHEN $bad_words = '' THEN 0 ELSE len(regexp_extract_all(lower(text), $bad_words)) END AS bad_words,
        sentence_count(c4_lines(text, $min_line_words, $notices)) AS sentences
    FROM candidates
),
checked AS (
    SELECT
        corpus,
        id,
        first_failure([
            at_most('lorem ipsum', lorem_ipsum, $max_lorem_ipsum),
            at_most('curly brackets', brackets, $max_brackets),
            at_most('bad words', bad_words, 0),
            at_least('too few sentences left', sentences, $min_sentences)
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
