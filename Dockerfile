FROM python:3.12-slim
WORKDIR /app
COPY requirements/notify.txt requirements/notify.txt
RUN pip install --no-cache-dir --require-hashes -r requirements/notify.txt
COPY stream_monitor stream_monitor
COPY topics topics
COPY alerts alerts
COPY fixtures fixtures
RUN useradd --create-home monitor && mkdir /data && chown monitor /data
USER monitor
ENV STREAM_MONITOR_DATADIR=/data STREAM_MONITOR_HTTP_HOST=0.0.0.0 PYTHONUNBUFFERED=1
ENTRYPOINT ["python", "-m", "stream_monitor"]
CMD ["worker"]
