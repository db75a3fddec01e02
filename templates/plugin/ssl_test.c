/* The gradient is that of the loss, by finite differences; and a surer teacher counts for more. */
#include "@ID@.c"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { CLASSES = 3, ROWS = 2 };

typedef struct problem {
    float labelled[ROWS * CLASSES], student[ROWS * CLASSES], teacher[ROWS * CLASSES];
    float labelled_grad[ROWS * CLASSES], student_grad[ROWS * CLASSES], weights[ROWS];
    int32_t labels[ROWS], pseudo_labels[ROWS];
} problem;

/* Ends the test with what was expected of the plugin, and what it said, if it did. */
__attribute__((format(printf, 3, 4))) static void expect(bool good, const nas_error *err,
                                                         const char *what, ...) {
    if (good) return;
    va_list args;
    va_start(args, what);
    fprintf(stderr, "loss plugin \"@ID@\": expected ");
    vfprintf(stderr, what, args);
    va_end(args);
    fprintf(stderr, "%s%s\n", err->message[0] ? "; it said: " : "", err->message);
    exit(1);
}

static double run(void *self, problem *p) {
    nas_ssl_batch batch = {.size = sizeof batch,
                           .steps = 10,
                           .classes = CLASSES,
                           .labelled = ROWS,
                           .unlabelled = ROWS,
                           .labels = p->labels,
                           .labelled_logits = p->labelled};
    nas_ssl_result result = {.size = sizeof result,
                             .labelled_grad = p->labelled_grad,
                             .pseudo_labels = p->pseudo_labels,
                             .weights = p->weights};
    nas_error err = {0};
    batch.student[NAS_VIEW_STRONG] = p->student;
    batch.teacher[NAS_VIEW_WEAK] = p->teacher;
    result.student_grad[NAS_VIEW_STRONG] = p->student_grad;
    memset(p->labelled_grad, 0, sizeof p->labelled_grad);
    memset(p->student_grad, 0, sizeof p->student_grad);
    expect(loss(self, &batch, &result, &err) == NAS_OK, &err, "loss() to succeed");
    return result.loss;
}

/* Compares a gradient with central differences of the loss by each logit. */
static void check(void *self, problem *p, const char *name, float *logits, const float *gradient) {
    const float step = 1e-2f;
    const nas_error none = {0};
    for (int i = 0; i < ROWS * CLASSES; i++) {
        float kept = logits[i];
        logits[i] = kept + step;
        double above = run(self, p);
        logits[i] = kept - step;
        double below = run(self, p);
        logits[i] = kept;
        run(self, p);
        double slope = (above - below) / (2 * (double)step);
        expect(fabs(slope - (double)gradient[i]) < 1e-4, &none,
               "the gradient of %s logit %d to be the loss's slope, %g, found %g", name, i, slope,
               (double)gradient[i]);
    }
}

int main(void) {
    const config given = {.power = 2, .weight = 0.7};
    problem p = {.labelled = {1, -1, 0.5f, 0, 2, -0.5f},
                 .student = {0.3f, -0.2f, 0.1f, 1, 0.4f, -2},
                 .teacher = {3, 0, 0, 0.1f, 0, 0.3f},
                 .labels = {2, 1}};
    void *self = NULL;
    nas_error err = {0};
    expect(create(NULL, &given, &self, &err) == NAS_OK, &err, "create() to succeed");
    run(self, &p);
    expect(p.pseudo_labels[0] == 0 && p.pseudo_labels[1] == 2, &err,
           "the teacher's classes, 0 and 2, as pseudo-labels, found %d and %d", p.pseudo_labels[0],
           p.pseudo_labels[1]);
    expect(p.weights[0] > p.weights[1] && p.weights[1] > 0, &err,
           "a surer teacher to weigh more, and any of them above 0, found %g and %g",
           (double)p.weights[0], (double)p.weights[1]);
    check(self, &p, "labelled", p.labelled, p.labelled_grad);
    check(self, &p, "student", p.student, p.student_grad);
    destroy(self);
    destroy(NULL);
    return 0;
}
