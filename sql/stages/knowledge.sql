-- Keep the candidates whose concepts the target's lead to, in a graph of concepts and relations that the recipe brings
-- ([knowledge] concepts and relations). A document has the concepts that it mentions, with strength 1, and those among
-- whose names one is like its text, with that cosine. From the concepts of the target documents, each with the share of
-- these that have it, weight spreads over the relations (spreading activation, Collins and Loftus 1975): a step takes it
-- times decay and the relation's weight, and a concept keeps what the best path of at most hops steps brings. The score
-- is the cosine between a candidate's strengths and these weights over all concepts that some candidate has, each times
-- its idf on either side: 0 is no concept in reach, 1 the very proportions of the target.
-- Named are the concept that adds most to the score, its path, and the target document that has the path's end most.
-- reads: knowledge
-- :min_score       FLOAT    0.1     [0, 1]  score to reach; a candidate without a concept in reach is dropped in any case
-- :budget          INTEGER  NULL    [1, inf)  documents to keep; NULL keeps all that reach min_score
-- :hops            INTEGER  2       [0, inf)  steps from a concept of the target, at most; 0: its own concepts alone
-- :decay           FLOAT    0.5     (0, 1]  what a step leaves of the weight
-- :both_ways       BOOLEAN  true    whether relations lead from tail to head, too
-- :same_label      BOOLEAN  false   whether a candidate is held against the target documents of its own label alone
-- :idf             BOOLEAN  true    whether a concept counts the less, the more candidates have it
-- :links           VARCHAR  'both'  both|mention|vector  what links documents with concepts
-- :k               INTEGER  3       [1, inf)  names nearest to a text that may be like it
-- :min_similarity  FLOAT    0.5     (0, 1]  cosine from which a name is like a text
WITH RECURSIVE near AS (
    SELECT
        true AS is_candidate, d.corpus, d.id, n.concept, n.name,
        array_inner_product(d.embedding, n.embedding) AS similarity
    FROM (SELECT * FROM candidates WHERE $links <> 'mention') AS d
    JOIN concepts AS n EXACT NEAREST $k BY SIMILARITY array_inner_product(d.embedding, n.embedding)
    UNION ALL
    SELECT
        false AS is_candidate, d.corpus, d.id, n.concept, n.name,
        array_inner_product(d.embedding, n.embedding) AS similarity
    FROM (SELECT * FROM target WHERE $links <> 'mention') AS d
    JOIN concepts AS n EXACT NEAREST $k BY SIMILARITY array_inner_product(d.embedding, n.embedding)
),
-- The strongest link of a document and a concept; among equals a mention, then the first name.
strongest AS MATERIALIZED (
    SELECT *
    FROM (
        SELECT true AS is_candidate, corpus, id, concept, name, 1.0::DOUBLE AS link, true AS is_mention
        FROM mentions(candidates, concepts)
        WHERE $links <> 'vector'
        UNION ALL
        SELECT false AS is_candidate, corpus, id, concept, name, 1.0::DOUBLE AS link, true AS is_mention
        FROM mentions(target, concepts)
        WHERE $links <> 'vector'
        UNION ALL
        SELECT is_candidate, corpus, id, concept, name, least(similarity, 1.0)::DOUBLE AS link, false AS is_mention
        FROM near
        WHERE similarity >= $min_similarity
    )
    QUALIFY row_number() OVER (
        PARTITION BY is_candidate, corpus, id, concept ORDER BY link DESC, is_mention DESC, name
    ) = 1
),
links AS (SELECT * FROM strongest WHERE is_candidate),
target_links AS (SELECT * FROM strongest WHERE NOT is_candidate),
labels AS (
    SELECT label, row_number() OVER (ORDER BY label)::INTEGER AS kind, documents
    FROM (SELECT pairing_label(label, $same_label) AS label, count(*) AS documents FROM target GROUP BY ALL)
    WHERE label IS NOT NULL
),
kinds AS (
    SELECT t.corpus, t.id, l.kind, l.documents
    FROM target AS t
    JOIN labels AS l ON l.label = pairing_label(t.label, $same_label)
),
-- Rounded, because the order in which links are added is not the same in every run.
starts AS (
    SELECT t.kind, l.concept, round(sum(l.link) / t.documents, 12) AS weight
    FROM target_links AS l
    JOIN kinds AS t ON t.corpus = l.corpus AND t.id = l.id
    GROUP BY t.kind, t.documents, l.concept
),
examples AS (
    SELECT t.kind, l.concept, l.corpus, l.id, l.link, l.is_mention
    FROM target_links AS l
    JOIN kinds AS t ON t.corpus = l.corpus AND t.id = l.id
    QUALIFY row_number() OVER (
        PARTITION BY t.kind, l.concept ORDER BY l.link DESC, l.is_mention DESC, l.corpus, l.id
    ) = 1
),
numbers AS (
    SELECT concept, row_number() OVER (ORDER BY concept)::INTEGER AS number FROM (SELECT DISTINCT concept FROM concepts)
),
-- Both ways of a relation, and what each adds to a path, which is read from the candidate's concept to the target's.
ways AS (
    SELECT head AS here, tail AS there, weight, format(' <-[{}]- {}', relation, head) AS told FROM relations
    UNION ALL
    SELECT tail AS here, head AS there, weight, format(' -[{}]-> {}', relation, tail) AS told FROM relations
    WHERE $both_ways
),
steps AS MATERIALIZED (
    SELECT
        h.number AS here, t.number AS there, w.weight * $decay AS weight, w.told,
        row_number() OVER (ORDER BY w.here, w.there, w.told)::INTEGER AS number
    FROM ways AS w
    JOIN numbers AS h ON h.concept = w.here
    JOIN numbers AS t ON t.concept = w.there
),
-- A row for each concept that so many steps reach: the best weight, and the first of the last steps that bring it, both
-- in one number, which is quick to take the greatest of: the weight, in units of 1e-15, above the 32 bits of the step.
-- Paths are not enumerated, nor told before it is known which are wanted: this is what keeps hubs harmless.
levels AS MATERIALIZED (
    SELECT s.kind, n.number AS concept, 0 AS hops, s.weight, NULL::INTEGER AS step
    FROM starts AS s
    JOIN numbers AS n ON n.concept = s.concept
    UNION ALL
    SELECT
        kind, there AS concept, hops, (best // 4294967296 + 1)::DOUBLE / 1e15 AS weight,
        (4294967296 - best % 4294967296)::INTEGER AS step
    FROM (
        SELECT
            l.kind, s.there, l.hops + 1 AS hops,
            max((l.weight * s.weight * 1e15)::HUGEINT * 4294967296 - s.number) AS best
        FROM levels AS l
        JOIN steps AS s ON s.here = l.concept
        WHERE l.hops < $hops AND l.weight * s.weight >= 1e-15
        GROUP BY l.kind, s.there, l.hops
    )
),
reach AS MATERIALIZED (
    SELECT kind, concept AS number, best.weight, -best.fewer AS hops
    FROM (
        SELECT kind, concept, max({'weight': weight, 'fewer': -hops}) AS best
        FROM levels
        GROUP BY kind, concept
    )
),
holders AS (
    SELECT concept, count(*) AS n FROM links GROUP BY concept
),
rarities AS (
    SELECT n.number, h.concept, CASE WHEN $idf THEN ln(1 + (c.documents - h.n + 0.5) / (h.n + 0.5)) ELSE 1.0 END AS idf
    FROM holders AS h
    JOIN numbers AS n ON n.concept = h.concept
    CROSS JOIN (SELECT count(*) AS documents FROM candidates) AS c
),
norms AS (
    SELECT r.kind, sqrt(sum((r.weight * i.idf) ** 2)) AS norm
    FROM reach AS r
    JOIN rarities AS i ON i.number = r.number
    GROUP BY r.kind
),
labelled AS (
    SELECT c.corpus, c.id, l.kind, pairing_label(c.label, $same_label) IS NULL AS is_unlabelled
    FROM candidates AS c
    LEFT JOIN labels AS l ON l.label = pairing_label(c.label, $same_label)
),
parts AS MATERIALIZED (
    SELECT
        l.*, i.number, c.kind, l.link * i.idf AS own, l.link * i.idf * r.weight * i.idf AS shared,
        row_number() OVER (PARTITION BY l.corpus, l.id ORDER BY shared DESC NULLS LAST, l.link DESC, l.concept) AS place
    FROM links AS l
    JOIN labelled AS c ON c.corpus = l.corpus AND c.id = l.id
    JOIN rarities AS i ON i.concept = l.concept
    LEFT JOIN reach AS r ON r.kind = c.kind AND r.number = i.number
),
sums AS (
    SELECT corpus, id, count(*) AS concepts, count(shared) AS reached, sum(shared) AS shared, sum(own ** 2) AS own
    FROM parts
    GROUP BY corpus, id
),
scores AS (
    SELECT
        c.corpus, c.id, c.kind, c.is_unlabelled, s.concepts, s.reached,
        round(coalesce(s.shared / (sqrt(s.own) * n.norm), 0), 9) AS score
    FROM labelled AS c
    LEFT JOIN sums AS s ON s.corpus = c.corpus AND s.id = c.id
    LEFT JOIN norms AS n ON n.kind = c.kind
),
ranked AS (
    SELECT
        *,
        coalesce(reached, 0) > 0 AND score >= $min_score AS reaches,
        row_number() OVER (ORDER BY coalesce(reached, 0) > 0 DESC, score DESC, corpus, id) AS rank
    FROM scores
),
limited AS (
    SELECT *, reaches AND rank <= coalesce($budget, rank) AS is_kept
    FROM ranked
),
-- From the concepts that are to be named back to the target's, step by step.
came AS MATERIALIZED (
    SELECT l.kind, l.concept, l.hops, l.step, s.here
    FROM levels AS l
    LEFT JOIN steps AS s ON s.number = l.step
),
trails AS (
    SELECT r.kind, r.number, c.concept AS at, c.hops, c.step, c.here
    FROM (SELECT DISTINCT kind, number FROM parts WHERE place = 1) AS p
    JOIN reach AS r ON r.kind = p.kind AND r.number = p.number
    JOIN came AS c ON c.kind = r.kind AND c.concept = r.number AND c.hops = r.hops
    UNION ALL
    SELECT t.kind, t.number, c.concept AS at, c.hops, c.step, c.here
    FROM trails AS t
    JOIN came AS c ON c.kind = t.kind AND c.concept = t.here AND c.hops = t.hops - 1
),
paths AS (
    SELECT
        t.kind, t.number, string_agg(s.told, '' ORDER BY t.hops DESC) AS path,
        any_value(t.at) FILTER (t.hops = 0) AS at
    FROM trails AS t
    LEFT JOIN steps AS s ON s.number = t.step
    GROUP BY t.kind, t.number
),
told AS (
    SELECT
        s.*, p.concept, t.path, e.corpus AS partner_corpus, e.id AS partner_id,
        CASE
            WHEN p.is_mention THEN format('"{}" in the text', p.name)
            ELSE format('near "{}" (cosine {:.2f})', p.name, p.link)
        END AS found,
        CASE WHEN e.is_mention THEN 'mentions' ELSE format('is near (cosine {:.2f})', e.link) END AS target_has
    FROM limited AS s
    LEFT JOIN parts AS p ON p.corpus = s.corpus AND p.id = s.id AND p.place = 1
    LEFT JOIN paths AS t ON t.kind = p.kind AND t.number = p.number
    LEFT JOIN numbers AS o ON o.number = t.at
    LEFT JOIN examples AS e ON e.kind = t.kind AND e.concept = o.concept
)
SELECT
    corpus,
    id,
    is_kept AS keep,
    CASE
        WHEN concepts IS NULL THEN 'no concept'
        WHEN reached = 0 THEN 'no concept in reach'
        WHEN NOT reaches THEN 'below min_score'
        WHEN NOT is_kept THEN 'beyond the budget'
    END AS rule,
    score,
    CASE WHEN is_kept OR reached > 0 AND NOT reaches THEN $min_score WHEN reaches THEN $budget END AS threshold,
    partner_corpus,
    partner_id,
    CASE WHEN reaches AND $budget IS NOT NULL THEN rank END AS rank,
    CASE
        WHEN concepts IS NULL THEN 'it mentions no concept, and no name is like it'
        WHEN is_unlabelled THEN 'it has no label'
        WHEN kind IS NULL AND $same_label THEN 'no target document has its label'
        WHEN kind IS NULL THEN 'there is no target document'
        WHEN partner_id IS NULL THEN format('{}: {}, which is not in reach', found, concept)
        ELSE concat(
            found, ': ', concept, path, ', which ', partner_corpus, ':', partner_id, ' ', target_has,
            CASE WHEN concepts > 1 THEN format('; {} of its {} concepts are in reach', reached, concepts) END
        )
    END AS reason
FROM told
