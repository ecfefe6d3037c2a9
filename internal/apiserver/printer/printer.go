package printer

import (
	"context"
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/duration"
	"k8s.io/apiserver/pkg/registry/rest"
)

const (
	none    = "<none>"
	unknown = "<unknown>"
)

// New returns the table convertor of a resource's storage. It knows a kind by its Go type, so that one convertor
// serves single objects, lists and watch events alike.
func New(resource schema.GroupResource) rest.TableConvertor {
	return &convertor{sheets: sheets(), generic: rest.NewDefaultTableConvertor(resource), now: time.Now}
}

// convertor implements rest.TableConvertor.
type convertor struct {
	sheets  []sheet
	generic rest.TableConvertor
	now     func() time.Time
}

// sheet is how one kind is drawn.
type sheet struct {
	columns []metav1.TableColumnDefinition
	// cells draws an object of the kind; ok is false for an object of another kind.
	cells func(o runtime.Object, now time.Time) (cells []any, ok bool)
	// list says whether a list holds the kind.
	list func(o runtime.Object) bool
}

// of makes the sheet of a kind T with lists L.
func of[T, L any, P interface {
	*T
	runtime.Object
}](cells func(P, time.Time) []any, columns ...metav1.TableColumnDefinition) sheet {
	return sheet{
		columns: columns,
		cells: func(o runtime.Object, now time.Time) ([]any, bool) {
			p, ok := o.(P)
			if !ok {
				return nil, false
			}
			return cells(p, now), true
		},
		list: func(o runtime.Object) bool {
			_, ok := any(o).(*L)
			return ok
		},
	}
}

// ConvertToTable implements rest.TableConvertor.
func (c *convertor) ConvertToTable(ctx context.Context, object, options runtime.Object) (*metav1.Table, error) {
	for i := range c.sheets {
		s := &c.sheets[i]
		if s.list(object) {
			return c.tableOfList(s, object, options)
		}
		if cells, ok := s.cells(object, c.now()); ok {
			table := &metav1.Table{Rows: []metav1.TableRow{row(object, cells)}}
			if m, err := meta.Accessor(object); err == nil {
				table.ResourceVersion = m.GetResourceVersion()
			}
			head(table, s, options)
			return table, nil
		}
	}
	return c.generic.ConvertToTable(ctx, object, options)
}

func (c *convertor) tableOfList(s *sheet, list, options runtime.Object) (*metav1.Table, error) {
	table := &metav1.Table{Rows: make([]metav1.TableRow, 0, meta.LenList(list))}
	now := c.now()
	err := meta.EachListItem(list, func(o runtime.Object) error {
		cells, ok := s.cells(o, now)
		if !ok {
			return fmt.Errorf("draw %T in a table of %T", o, list)
		}
		table.Rows = append(table.Rows, row(o, cells))
		return nil
	})
	if err != nil {
		return nil, err
	}
	if m, err := meta.ListAccessor(list); err == nil {
		table.ResourceVersion = m.GetResourceVersion()
		table.Continue = m.GetContinue()
		table.RemainingItemCount = m.GetRemainingItemCount()
	}
	head(table, s, options)
	return table, nil
}

func row(o runtime.Object, cells []any) metav1.TableRow {
	return metav1.TableRow{Cells: cells, Object: runtime.RawExtension{Object: o}, Conditions: completed(o)}
}

// head adds the columns unless the client has them already.
func head(table *metav1.Table, s *sheet, options runtime.Object) {
	if o, ok := options.(*metav1.TableOptions); ok && o.NoHeaders {
		return
	}
	table.ColumnDefinitions = s.columns
}

// column is one that is always shown, wide one that -o wide shows.
func column(name, kind, description string) metav1.TableColumnDefinition {
	return metav1.TableColumnDefinition{Name: name, Type: kind, Description: description}
}

func wide(name, description string) metav1.TableColumnDefinition {
	return metav1.TableColumnDefinition{Name: name, Type: "string", Priority: 1, Description: description}
}

func nameColumn() metav1.TableColumnDefinition {
	return metav1.TableColumnDefinition{Name: "Name", Type: "string", Format: "name", Description: metav1.ObjectMeta{}.SwaggerDoc()["name"]}
}

func ageColumn() metav1.TableColumnDefinition {
	return column("Age", "string", metav1.ObjectMeta{}.SwaggerDoc()["creationTimestamp"])
}

func createdColumn() metav1.TableColumnDefinition {
	return column("Created At", "date", metav1.ObjectMeta{}.SwaggerDoc()["creationTimestamp"])
}

// since says how long ago a moment was, in kubectl's short form.
func since(t metav1.Time, now time.Time) string {
	if t.IsZero() {
		return unknown
	}
	return duration.HumanDuration(now.Sub(t.Time))
}

func date(t metav1.Time) string { return t.UTC().Format(time.RFC3339) }

// or gives the second text where the first is empty.
func or(text, otherwise string) string {
	if text == "" {
		return otherwise
	}
	return text
}
