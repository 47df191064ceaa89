-- Keep the candidates that are among the k nearest to some target document of their own label.
-- A candidate without a label from a source that serves 'vote' first gets one by vote of its nearest target documents,
-- each with the weight of its cosine, and competes with the others of that label; its weight is then its share of the
-- vote. (Voted labels cost points on every task measured; think twice.)
-- Equal cosines are ordered by corpus and id, but which of several equal ones is the k-th is the search's choice: the
-- first in the order of the candidates.
-- :k           INTEGER  50   [1, inf)  candidates in the list of each target document
-- :neighbours  INTEGER  7    [1, inf)  target documents that vote on a candidate's label
-- :min_share   FLOAT    0.6  [0, 1]  share of the vote that the winning label must have
WITH targets AS (
    SELECT corpus, id, label, embedding FROM target ORDER BY corpus, id
),
votes AS (
    SELECT c.corpus, c.id, t.label, greatest(array_inner_product(c.embedding, t.embedding), 0) AS vote
    FROM (SELECT * FROM candidates WHERE serves = 'vote' AND label IS NULL) AS c
    JOIN targets AS t EXACT NEAREST $neighbours BY SIMILARITY array_inner_product(c.embedding, t.embedding)
),
tallies AS (
    SELECT corpus, id, label, sum(vote) AS tally
    FROM votes
    GROUP BY corpus, id, label
),
winners AS (
    SELECT corpus, id, label, coalesce(tally / nullif(sum(tally) OVER (PARTITION BY corpus, id), 0), 0) AS share
    FROM tallies
    QUALIFY row_number() OVER (PARTITION BY corpus, id ORDER BY tally DESC, label) = 1
),
voted AS (
    SELECT c.corpus, c.id, w.label, c.embedding
    FROM candidates AS c
    JOIN winners AS w ON w.corpus = c.corpus AND w.id = c.id
    WHERE w.share >= $min_share
),
-- The k nearest of a label are among the k nearest with a label of their own and the k nearest with a voted one.
contenders AS (
    SELECT
        t.corpus AS partner_corpus, t.id AS partner_id, p.corpus, p.id,
        array_inner_product(t.embedding, p.embedding) AS similarity
    FROM targets AS t
    JOIN (SELECT * FROM candidates AS c WHERE c.label = t.label) AS p
        EXACT NEAREST $k BY SIMILARITY array_inner_product(t.embedding, p.embedding)
    UNION ALL
    SELECT
        t.corpus AS partner_corpus, t.id AS partner_id, p.corpus, p.id,
        array_inner_product(t.embedding, p.embedding) AS similarity
    FROM targets AS t
    JOIN (SELECT * FROM voted AS v WHERE v.label = t.label) AS p
        EXACT NEAREST $k BY SIMILARITY array_inner_product(t.embedding, p.embedding)
),
lists AS (
    SELECT
        *,
        row_number() OVER (PARTITION BY partner_corpus, partner_id ORDER BY similarity DESC, corpus, id) AS rank
    FROM contenders
),
paired AS (
    SELECT *
    FROM lists
    WHERE rank <= $k
    QUALIFY row_number() OVER (
        PARTITION BY corpus, id ORDER BY similarity DESC, rank, partner_corpus, partner_id
    ) = 1
),
-- What the others came nearest to, so that the ledger has their number too.
nearest AS (
    SELECT
        c.corpus, c.id, t.corpus AS partner_corpus, t.id AS partner_id,
        array_inner_product(c.embedding, t.embedding) AS similarity
    FROM candidates AS c
    JOIN (SELECT * FROM targets AS o WHERE o.label = c.label) AS t
        EXACT NEAREST 1 BY SIMILARITY array_inner_product(c.embedding, t.embedding)
    UNION ALL
    SELECT
        v.corpus, v.id, t.corpus AS partner_corpus, t.id AS partner_id,
        array_inner_product(v.embedding, t.embedding) AS similarity
    FROM voted AS v
    JOIN (SELECT * FROM targets AS o WHERE o.label = v.label) AS t
        EXACT NEAREST 1 BY SIMILARITY array_inner_product(v.embedding, t.embedding)
),
joined AS (
    SELECT
        c.corpus,
        c.id,
        c.label,
        c.label IS NULL AND c.serves = 'vote' AS is_voted,
        w.label AS voted_label,
        w.share,
        p.rank,
        coalesce(p.similarity, n.similarity) AS similarity,
        coalesce(p.partner_corpus, n.partner_corpus) AS partner_corpus,
        coalesce(p.partner_id, n.partner_id) AS partner_id
    FROM candidates AS c
    LEFT JOIN winners AS w ON w.corpus = c.corpus AND w.id = c.id
    LEFT JOIN paired AS p ON p.corpus = c.corpus AND p.id = c.id
    LEFT JOIN nearest AS n ON n.corpus = c.corpus AND n.id = c.id
),
decided AS (
    SELECT
        *,
        is_voted AND coalesce(share, 0) < $min_share AS is_undecided,
        CASE
            WHEN is_voted AND share IS NULL THEN 'there is no target document to vote'
            WHEN is_voted THEN format('label {} by vote with a share of {:.2f}', voted_label, share)
            WHEN label IS NULL THEN 'it has no label'
            WHEN similarity IS NULL THEN 'no target document has its label'
        END AS reason
    FROM joined
)
SELECT
    corpus,
    id,
    rank IS NOT NULL AS keep,
    CASE
        WHEN is_undecided THEN 'vote below share'
        WHEN rank IS NULL THEN 'not among the k nearest of its label'
    END AS rule,
    CASE WHEN is_undecided THEN coalesce(share, 0) ELSE similarity END AS score,
    CASE WHEN is_undecided THEN $min_share END AS threshold,
    partner_corpus,
    partner_id,
    rank,
    voted_label AS label,
    share AS weight,
    reason
FROM decided
