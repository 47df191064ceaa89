-- Drop candidates whose label is probably wrong: the labels of their nearest texts seldom agree with it, and another
-- label is confident there. After confident learning (Northcutt, Jiang and Chuang, JAIR 2021), with the labels of
-- neighbours for the classifier (deep k-NN, Bahri, Jiang and Gupta, ICML 2020): the share of a label among the k nearest
-- texts of candidates and target, each with the weight of its cosine, is its probability. What is usual for a label is
-- the mean share of its own that its texts have; a document is dropped when its own label's share is below min_share of
-- what is usual for that label, and another label has a larger one, at least what is usual for it. So a label that is
-- hard to tell does not lose everything. Equal texts (but for case, punctuation and spaces) have one vote, parted among
-- their labels, and none on each other: copies of a wrong label do not vouch for it. Documents without a label are kept.
-- Every text is compared with every other: twice as many take up to four times as long, and more than max_documents are
-- refused, with an estimate.
-- :k               INTEGER  50      [2, inf)  nearest texts looked at, a document's own among them
-- :min_share       FLOAT    0.6     [0, 1]  share of its own label, over the usual one, below which it is in doubt
-- :max_similarity  FLOAT    1.0     [-1, inf)  cosine above which a text counts as a copy and has no vote
-- :max_documents   INTEGER  500000  [0, inf)  candidates and target documents with a label, at most
WITH labelled AS (
    SELECT corpus, id, label, coalesce(normalised(text), '') AS words, embedding, true AS is_judged
    FROM candidates
    WHERE label IS NOT NULL
    UNION ALL
    SELECT corpus, id, label, coalesce(normalised(text), '') AS words, embedding, false AS is_judged
    FROM target
    WHERE label IS NOT NULL
),
texts AS (
    SELECT words, corpus, id, embedding
    FROM labelled
    QUALIFY CASE
        WHEN count(*) OVER () > $max_documents
        THEN error(format(
            '{:,} documents have a label and max_documents is {:,}: two cores take about {:,} minutes for so many '
            '(100,000 took 34 seconds), and each holds {} neighbours in memory',
            count(*) OVER (), $max_documents,
            ceil((23 * count(*) OVER () / 1e5 + 11 * (count(*) OVER () / 1e5) ** 2) / 60)::BIGINT, $k
        ))
        ELSE row_number() OVER (PARTITION BY words ORDER BY corpus, id) = 1
    END
),
near AS (
    SELECT
        t.words,
        o.words AS other,
        o.corpus AS partner_corpus,
        o.id AS partner_id,
        array_inner_product(t.embedding, o.embedding) AS similarity
    FROM texts AS t
    JOIN texts AS o EXACT NEAREST $k BY SIMILARITY array_inner_product(t.embedding, o.embedding)
),
votes AS (
    SELECT words, label, bool_or(is_judged) AS is_judged, count(*) / sum(count(*)) OVER (PARTITION BY words) AS vote
    FROM labelled
    GROUP BY words, label
),
tallies AS (
    SELECT
        n.words,
        v.label,
        sum(v.vote * greatest(n.similarity, 0)) AS tally,
        arg_min({'corpus': n.partner_corpus, 'id': n.partner_id}, (-n.similarity, n.partner_corpus, n.partner_id))
            AS nearest
    FROM near AS n
    JOIN votes AS v ON v.words = n.other
    WHERE n.other <> n.words AND n.similarity <= $max_similarity
    GROUP BY n.words, v.label
),
-- Rounded, because the order in which votes are added is not the same in every run.
shares AS (
    SELECT words, label, round(tally / nullif(sum(tally) OVER (PARTITION BY words), 0), 9) AS share, nearest
    FROM tallies
),
own AS (
    SELECT v.words, v.label, v.is_judged, coalesce(s.share, 0) AS share
    FROM votes AS v
    JOIN (SELECT DISTINCT words FROM shares WHERE share IS NOT NULL) AS j ON j.words = v.words
    LEFT JOIN shares AS s ON s.words = v.words AND s.label = v.label
),
usual AS (
    SELECT label, round(avg(share), 9) AS share
    FROM own
    GROUP BY label
),
rivals AS (
    SELECT o.words, o.label, s.label AS rival, s.nearest
    FROM own AS o
    JOIN shares AS s ON s.words = o.words
    JOIN usual AS u ON u.label = s.label
    WHERE s.share > o.share AND s.share >= u.share
    QUALIFY row_number() OVER (PARTITION BY o.words, o.label ORDER BY s.share DESC, s.label) = 1
),
judged AS (
    SELECT
        c.corpus,
        c.id,
        c.label,
        o.share,
        $min_share * u.share AS threshold,
        r.rival,
        r.nearest,
        coalesce(o.share < $min_share * u.share AND r.rival IS NOT NULL, false) AS is_wrong
    FROM candidates AS c
    LEFT JOIN own AS o ON o.words = coalesce(normalised(c.text), '') AND o.label = c.label
    LEFT JOIN usual AS u ON u.label = o.label
    LEFT JOIN rivals AS r ON r.words = o.words AND r.label = o.label
)
SELECT
    corpus,
    id,
    NOT is_wrong AS keep,
    CASE WHEN is_wrong THEN 'neighbours say ' || rival END AS rule,
    share AS score,
    threshold,
    CASE WHEN is_wrong THEN nearest.corpus END AS partner_corpus,
    CASE WHEN is_wrong THEN nearest.id END AS partner_id,
    CASE WHEN label IS NULL THEN 'it has no label' WHEN share IS NULL THEN 'no other text has a label' END AS reason
FROM judged
