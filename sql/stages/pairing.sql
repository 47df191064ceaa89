-- Keep the candidates that are among the k nearest to some target document: of their own label or, with same_label =
-- false, whatever the labels. With mutual, a pair counts only if its target document is also among the partners nearest
-- target documents of the candidate, of its label or of all likewise. (partners as large as k makes the graph of mutual
-- k-nearest neighbours; but there are far fewer target documents than candidates.)
-- A candidate without a label from a source that serves 'vote' first gets one by vote of its nearest target documents,
-- each with the weight of its cosine, and competes with the others of that label; its weight is then its share of the
-- vote. (Voted labels cost points on every task measured; think twice.)
-- Equal cosines are ordered by corpus and id, but which of several equal ones is the k-th is the search's choice: the
-- first in the order of the candidates. The threshold is the least cosine in the list of the target document that is
-- named, or, of a pair that is not mutual, in that of the candidate.
-- :k           INTEGER  50     [1, inf)  candidates in the list of each target document
-- :same_label  BOOLEAN  true   whether both must have the same label
-- :mutual      BOOLEAN  false  whether the target document must be in the list of the candidate, too
-- :partners    INTEGER  1      [1, inf)  target documents in the list of each candidate; they count with mutual only
-- :neighbours  INTEGER  7      [1, inf)  target documents that vote on a candidate's label
-- :min_share   FLOAT    0.6    [0, 1]  share of the vote that the winning label must have
WITH targets AS (
    SELECT corpus, id, label, pairing_label(label, $same_label) AS kind, embedding FROM target ORDER BY corpus, id
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
    SELECT c.corpus, c.id, pairing_label(w.label, $same_label) AS kind, c.embedding
    FROM candidates AS c
    JOIN winners AS w ON w.corpus = c.corpus AND w.id = c.id
    WHERE w.share >= $min_share
),
-- The k nearest of a label are among the k nearest with a label of their own and the k nearest with a voted one.
contenders AS (
    SELECT
        t.corpus AS partner_corpus, t.id AS partner_id, t.kind, p.corpus, p.id,
        array_inner_product(t.embedding, p.embedding) AS similarity
    FROM targets AS t
    JOIN (
        SELECT * FROM candidates AS c
        WHERE pairing_label(c.label, $same_label) = t.kind AND (c.label IS NOT NULL OR c.serves <> 'vote')
    ) AS p EXACT NEAREST $k BY SIMILARITY array_inner_product(t.embedding, p.embedding)
    UNION ALL
    SELECT
        t.corpus AS partner_corpus, t.id AS partner_id, t.kind, p.corpus, p.id,
        array_inner_product(t.embedding, p.embedding) AS similarity
    FROM targets AS t
    JOIN (SELECT * FROM voted AS v WHERE v.kind = t.kind) AS p
        EXACT NEAREST $k BY SIMILARITY array_inner_product(t.embedding, p.embedding)
),
lists AS (
    SELECT
        *,
        row_number() OVER (PARTITION BY partner_corpus, partner_id ORDER BY similarity DESC, corpus, id) AS rank
    FROM contenders
    QUALIFY rank <= $k
),
-- The k-th cosine, without which a list has room for any candidate.
lasts AS (
    SELECT partner_corpus, partner_id, similarity FROM lists WHERE rank = $k
),
listed AS (
    SELECT c.corpus, c.id, l.kind, c.embedding
    FROM (SELECT DISTINCT corpus, id, kind FROM lists WHERE $mutual) AS l
    JOIN candidates AS c ON c.corpus = l.corpus AND c.id = l.id
),
choices AS (
    SELECT
        l.corpus, l.id, t.corpus AS partner_corpus, t.id AS partner_id,
        array_inner_product(l.embedding, t.embedding) AS similarity
    FROM listed AS l
    JOIN (SELECT * FROM targets AS o WHERE o.kind = l.kind) AS t
        EXACT NEAREST $partners BY SIMILARITY array_inner_product(l.embedding, t.embedding)
),
least_choices AS (
    SELECT corpus, id, min(similarity) AS similarity FROM choices GROUP BY corpus, id
),
paired AS (
    SELECT l.*, NOT $mutual OR m.id IS NOT NULL AS is_kept
    FROM lists AS l
    LEFT JOIN choices AS m
        ON m.corpus = l.corpus AND m.id = l.id
        AND m.partner_corpus = l.partner_corpus AND m.partner_id = l.partner_id
    QUALIFY row_number() OVER (
        PARTITION BY l.corpus, l.id
        ORDER BY is_kept DESC, l.similarity DESC, l.rank, l.partner_corpus, l.partner_id
    ) = 1
),
-- What the others came nearest to, so that the ledger has their number too.
nearest AS (
    SELECT
        c.corpus, c.id, t.corpus AS partner_corpus, t.id AS partner_id,
        array_inner_product(c.embedding, t.embedding) AS similarity
    FROM (SELECT * FROM candidates WHERE label IS NOT NULL OR serves <> 'vote') AS c
    JOIN (SELECT * FROM targets AS o WHERE o.kind = pairing_label(c.label, $same_label)) AS t
        EXACT NEAREST 1 BY SIMILARITY array_inner_product(c.embedding, t.embedding)
    UNION ALL
    SELECT
        v.corpus, v.id, t.corpus AS partner_corpus, t.id AS partner_id,
        array_inner_product(v.embedding, t.embedding) AS similarity
    FROM voted AS v
    JOIN (SELECT * FROM targets AS o WHERE o.kind = v.kind) AS t
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
        coalesce(p.is_kept, false) AS is_kept,
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
        j.*,
        j.is_voted AND coalesce(j.share, 0) < $min_share AS is_undecided,
        j.rank IS NOT NULL AND NOT j.is_kept AS is_one_sided,
        l.similarity AS least,
        m.similarity AS least_choice,
        CASE
            WHEN j.is_voted AND j.share IS NULL THEN 'there is no target document to vote'
            WHEN j.is_voted THEN format('label {} by vote with a share of {:.2f}', j.voted_label, j.share)
            WHEN $same_label AND j.label IS NULL THEN 'it has no label'
            WHEN j.similarity IS NULL AND $same_label THEN 'no target document has its label'
            WHEN j.similarity IS NULL THEN 'there is no target document'
        END AS label_reason
    FROM joined AS j
    LEFT JOIN lasts AS l ON l.partner_corpus = j.partner_corpus AND l.partner_id = j.partner_id
    LEFT JOIN least_choices AS m ON m.corpus = j.corpus AND m.id = j.id
)
SELECT
    corpus,
    id,
    is_kept AS keep,
    CASE
        WHEN is_undecided THEN 'vote below share'
        WHEN is_one_sided THEN 'not mutual'
        WHEN NOT is_kept THEN 'not among the k nearest' || CASE WHEN $same_label THEN ' of its label' ELSE '' END
    END AS rule,
    CASE WHEN is_undecided THEN coalesce(share, 0) ELSE similarity END AS score,
    CASE WHEN is_undecided THEN $min_share WHEN is_one_sided THEN least_choice ELSE least END AS threshold,
    partner_corpus,
    partner_id,
    rank,
    voted_label AS label,
    share AS weight,
    CASE
        WHEN is_one_sided
        THEN concat_ws('; ', label_reason, format('that target document is not among its {} nearest', $partners))
        ELSE label_reason
    END AS reason
FROM decided
